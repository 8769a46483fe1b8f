//! `.env` files. Environment variables override both files, and `.env.$MANGO_ENV` overrides `.env`.

use std::collections::HashMap;
use std::path::Path;

use super::BadSetting;

/// Reads the variables of `.env` and `.env.$MANGO_ENV` in `folder`, if they exist.
pub fn load_env_files(
    folder: &Path,
    real: &dyn Fn(&str) -> Option<String>,
) -> Result<HashMap<String, String>, BadSetting> {
    let mut found = HashMap::new();
    read_into(&folder.join(".env"), &mut found)?;
    let environment =
        real("MANGO_ENV").or_else(|| found.get("MANGO_ENV").cloned()).filter(|it| !it.is_empty());
    if let Some(environment) = environment.filter(|it| it.chars().all(|c| c.is_ascii_alphanumeric())) {
        read_into(&folder.join(format!(".env.{environment}")), &mut found)?;
    }
    Ok(found)
}

fn read_into(path: &Path, found: &mut HashMap<String, String>) -> Result<(), BadSetting> {
    if !path.exists() {
        return Ok(());
    }
    let named = |error: &dyn std::fmt::Display| BadSetting(format!("{}: {error}", path.display()));
    for pair in dotenvy::from_path_iter(path).map_err(|error| named(&error))? {
        let (name, value) = pair.map_err(|error| named(&error))?;
        found.insert(name, value);
    }
    Ok(())
}
