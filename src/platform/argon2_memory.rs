//! argon2 whose memory is kept by the thread and used again. A hash needs megabytes for some milliseconds;
//! asking the allocator each time costs page faults, and several times as much memory in the end, because it
//! cannot fit the blocks into what they left behind.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher, Error, PasswordHasher, Result};
use argon2::{Algorithm, Argon2, Block, Params, Version};

thread_local! {
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// argon2 of one variant and cost; verifying takes both from the hash. For threads that hash again and again.
#[derive(Default)]
pub struct Reusing {
    algorithm: Algorithm,
    version: Version,
    params: Params,
}

impl Reusing {
    /// argon2id of this cost.
    pub fn argon2id(params: Params) -> Self {
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params }
    }
}

/// Gives the calling thread's memory back, where it will not hash again.
pub fn release() {
    MEMORY.take();
}

impl PasswordHasher<PasswordHash> for Reusing {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> Result<PasswordHash> {
        let salt = Salt::new(salt)?;
        let length = self.params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut buffer = [0; Output::MAX_LENGTH];
        let output = buffer.get_mut(..length).ok_or(Error::OutputSize)?;
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        MEMORY.with_borrow_mut(|memory| {
            // What is in it does not matter: the first pass writes every block before it is read.
            memory.resize(self.params.block_count(), Block::new());
            argon2.hash_password_into_with_memory(password, &salt, output, memory)
        })?;
        Ok(PasswordHash {
            algorithm: self.algorithm.ident(),
            version: Some(self.version.into()),
            params: ParamsString::try_from(&self.params)?,
            salt: Some(salt),
            hash: Some(Output::new(output)?),
        })
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Reusing {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        Self { algorithm, version, params }.hash_password_with_salt(password, salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;

    #[test]
    fn memory_that_was_used_before_gives_the_same_hashes() {
        let salt = b"sixteen bytes ..";
        for (memory, passes, lanes) in [(64, 1, 1), (512, 3, 2), (8, 2, 1), (256, 1, 4)] {
            let params = Params::new(memory, passes, lanes, None).expect("params");
            let theirs = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            let ours = Reusing::argon2id(params);
            for password in ["mango salad", "mango sorbet"] {
                let fresh = theirs.hash_password_with_salt(password.as_bytes(), salt).expect("hash");
                let reused = ours.hash_password_with_salt(password.as_bytes(), salt).expect("hash");
                assert_eq!(fresh.to_string(), reused.to_string());
                assert!(Reusing::default().verify_password(password.as_bytes(), &fresh).is_ok());
                assert!(Reusing::default().verify_password(b"something else", &fresh).is_err());
                assert!(Argon2::default().verify_password(password.as_bytes(), &reused).is_ok());
            }
        }
        // Other variants say what they are.
        let params = Params::new(64, 1, 1, None).expect("params");
        let theirs = Argon2::new(Algorithm::Argon2i, Version::V0x10, params);
        let hash = theirs.hash_password_with_salt(b"mango", salt).expect("hash");
        assert!(Reusing::default().verify_password(b"mango", &hash).is_ok());
        release();
        assert!(MEMORY.with_borrow(Vec::is_empty));
    }
}
