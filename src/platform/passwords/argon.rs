//! Argon2id (RFC 9106) in PHC strings, with memory that each thread reuses for the next hash.
//!
//! The crate's own method allocates the memory for each hash, aligned to 64 bytes. glibc before 2.38 fragments its heap
//! with such blocks (its bug 14581): after 50 simultaneous logins, hundreds of megabytes stayed allocated.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::config::HashCost;
use crate::error::{Error, Result};
use crate::platform::memory;
use crate::random;

/// Length of a hash in bytes.
const OUTPUT: usize = 32;

/// Length of a salt in bytes (RFC 9106, section 3.1).
const SALT: usize = 16;

thread_local! {
    /// As large as the largest hash so far: under load, a thread that has hashed once will hash again.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Frees the memory that this thread keeps for the next hash.
pub fn free_memory() {
    MEMORY.take();
    memory::trim();
}

/// Returns the PHC string of a password with a random salt.
pub fn hash(cost: HashCost, password: &str) -> Result<String> {
    let mut salt = [0_u8; SALT];
    random::fill(&mut salt)?;
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(OUTPUT))
        .map_err(|error| broken(&error))?;
    let output = compute(&params, Version::V0x13, Algorithm::Argon2id, password, &salt)?;
    let whole = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|error| broken(&error))?,
        salt: Some(Salt::new(&salt).map_err(|error| broken(&error))?),
        hash: Some(output),
    };
    Ok(whole.to_string())
}

/// Returns whether the password matches this PHC string; compared in constant time.
pub fn verify(password: &str, known: &PasswordHash) -> bool {
    let (Some(salt), Some(expected)) = (&known.salt, &known.hash) else { return false };
    let Ok(algorithm) = Algorithm::try_from(known.algorithm.as_str()) else { return false };
    let Ok(version) = known.version.map_or(Ok(Version::V0x13), Version::try_from) else { return false };
    let Ok(params) = Params::try_from(known) else { return false };
    compute(&params, version, algorithm, password, salt).is_ok_and(|output| output == *expected)
}

fn compute(
    params: &Params,
    version: Version,
    algorithm: Algorithm,
    password: &str,
    salt: &[u8],
) -> Result<Output> {
    let length = params.output_len().unwrap_or(OUTPUT);
    let argon2 = Argon2::new(algorithm, version, params.clone());
    MEMORY.with_borrow_mut(|memory| {
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let memory = memory.get_mut(..blocks).unwrap_or_default();
        let mut bytes = vec![0_u8; length];
        argon2
            .hash_password_into_with_memory(password.as_bytes(), salt, &mut bytes, memory)
            .map_err(|error| broken(&error))?;
        Output::new(&bytes).map_err(|error| broken(&error))
    })
}

fn broken(error: &impl std::fmt::Display) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    const COST: HashCost = HashCost { memory_kib: 128, passes: 2, lanes: 2 };

    #[test]
    fn hashes_are_those_of_the_crate_itself() {
        let ours = hash(COST, "mango").expect("hash");
        Argon2::default().verify_password(b"mango", &PasswordHash::new(&ours).expect("PHC")).expect("fits");
        let params = Params::new(64, 1, 1, None).expect("params");
        let theirs = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(b"mango");
        let theirs = theirs.expect("hash");
        // Also with memory that was larger before.
        assert!(verify("mango", &theirs));
        assert!(!verify("papaya", &theirs));
        assert!(verify("mango", &PasswordHash::new(&ours).expect("PHC")));
    }
}
