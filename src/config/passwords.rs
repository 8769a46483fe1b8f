//! Settings of passwords.

use super::Environment;
use super::reader::{BadSetting, Reader};

/// How passwords are hashed, and which ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passwords {
    /// Cost of a new hash.
    pub cost: HashCost,
    /// Whether the 10,000 most common passwords are refused.
    pub blocklist: bool,
}

/// Cost of an argon2id hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

pub(super) fn read(r: &mut Reader<'_>, environment: Environment) -> Result<Passwords, BadSetting> {
    let cost = r.read(
        "PASSWORD_HASH",
        "argon2id,m=19456,t=2,p=1",
        "cost of argon2id: memory in KiB, passes, lanes; older hashes stay valid",
        "argon2id,m=KIB,t=PASSES,p=LANES with m from 8*p to 1048576, t from 1 to 20, p from 1 to 8",
        parse_cost,
    )?;
    let blocklist = r
        .optional_flag("PASSWORD_BLOCKLIST", "refuse the 10,000 most common passwords [on in prod]")?
        .unwrap_or(environment == Environment::Prod);
    Ok(Passwords { cost, blocklist })
}

fn parse_cost(text: &str) -> Option<HashCost> {
    let mut parts = text.split(',').map(str::trim);
    if parts.next()? != "argon2id" {
        return None;
    }
    let mut value = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
    let cost = HashCost { memory_kib: value("m")?, passes: value("t")?, lanes: value("p")? };
    let fits = (1..=8).contains(&cost.lanes)
        && (1..=20).contains(&cost.passes)
        && (8 * cost.lanes..=1_048_576).contains(&cost.memory_kib);
    (fits && parts.next().is_none()).then_some(cost)
}
