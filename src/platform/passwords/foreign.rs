//! Password hashes made by other software: imported users keep their password, and their first login replaces the hash
//! with an argon2id one.
//!
//! Supported are PBKDF2-SHA256 in the formats of passlib, Django and PHC strings, and bcrypt (`2a`, `2b`, `2y`, and
//! passlib's `bcrypt-sha256`). A hash is untrusted data, so its cost is limited here.

use std::sync::Once;

use argon2::password_hash::phc::PasswordHash;
use base64::Engine;
use base64::alphabet::{Alphabet, BCRYPT, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pbkdf2::hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Maximum number of PBKDF2 rounds (some seconds); passlib uses 29,000, Django 1,000,000.
const MAX_ROUNDS: u32 = 10_000_000;

/// Maximum cost of bcrypt (some seconds); passlib uses 12.
const MAX_COST: u32 = 16;

/// Maximum length of a salt or a result in bytes.
const MAX_BYTES: usize = 1_024;

/// Number of bytes that bcrypt uses, including the closing zero.
const BCRYPT_BYTES: usize = 72;

/// A parsed hash of other software.
#[derive(Debug, PartialEq, Eq)]
enum Foreign {
    Pbkdf2 { rounds: u32, salt: Vec<u8>, result: Vec<u8> },
    Bcrypt { cost: u32, salt: [u8; 16], result: Vec<u8>, before: Before },
}

/// How a password is processed before bcrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// `bcrypt-sha256`, first version.
    Sha256,
    /// `bcrypt-sha256`, second version, keyed with the salt as it is written.
    Hmac(String),
}

/// Returns whether a hash is argon2 or of a supported kind and has a reasonable cost, so that its owner can log in.
pub fn is_usable(hash: &str) -> bool {
    let own = PasswordHash::new(hash)
        .is_ok_and(|it| it.algorithm.as_str().starts_with("argon2") && it.hash.is_some() && is_sensible(&it));
    own || Foreign::read(hash).is_some_and(|foreign| !foreign.is_absurd_and_told())
}

/// Returns whether the costs are reasonable (about a second). With higher ones, anyone who tries a password for the
/// account could use up all memory, or a core for a long time.
fn is_sensible(hash: &PasswordHash) -> bool {
    let within = |name: &str, most: u32| hash.params.get_decimal(name).is_some_and(|it| it <= most);
    within("m", 131_072) && within("t", 10) && within("p", 8)
}

/// Returns whether the password matches a hash of other software; `None` if the hash is not of a supported kind or
/// costs too much.
pub fn verify(password: &str, hash: &str) -> Option<bool> {
    let foreign = Foreign::read(hash).filter(|it| !it.is_absurd_and_told())?;
    Some(foreign.fits(password.as_bytes()))
}

impl Foreign {
    fn read(hash: &str) -> Option<Self> {
        if let Some(rest) = hash.strip_prefix("$pbkdf2-sha256$") {
            let parts: Vec<&str> = rest.split('$').collect();
            let [rounds, salt, result] = parts[..] else { return None };
            return if rounds.starts_with("i=") {
                Self::pbkdf2(phc_rounds(rounds)?, decode(&STANDARD, salt)?, decode(&STANDARD, result)?)
            } else {
                // passlib writes `.` where base64 has `+`.
                let text = |it: &str| decode(&STANDARD, &it.replace('.', "+"));
                Self::pbkdf2(number(rounds)?, text(salt)?, text(result)?)
            };
        }
        if let Some(rest) = hash.strip_prefix("pbkdf2_sha256$") {
            let parts: Vec<&str> = rest.split('$').collect();
            let [rounds, salt, result] = parts[..] else { return None };
            return Self::pbkdf2(number(rounds)?, salt.into(), decode(&STANDARD, result)?);
        }
        if let Some(rest) = hash.strip_prefix("$bcrypt-sha256$") {
            return Self::bcrypt_sha256(rest);
        }
        let (kind, rest) = hash.strip_prefix('$')?.split_once('$')?;
        let (cost, rest) = rest.split_once('$')?;
        let fits =
            matches!(kind, "2a" | "2b" | "2y") && cost.len() == 2 && rest.len() == 53 && rest.is_ascii();
        let (salt, result) = fits.then(|| rest.split_at(22))?;
        Self::bcrypt(number(cost)?, salt, result, Before::Nothing)
    }

    fn pbkdf2(rounds: u32, salt: Vec<u8>, result: Vec<u8>) -> Option<Self> {
        let fits = rounds > 0 && salt.len() <= MAX_BYTES && (16..=64).contains(&result.len());
        fits.then_some(Self::Pbkdf2 { rounds, salt, result })
    }

    fn bcrypt(cost: u32, salt: &str, result: &str, before: Before) -> Option<Self> {
        let salt = decode(&BCRYPT, salt)?.try_into().ok()?;
        let result = decode(&BCRYPT, result)?;
        let fits = (4..=31).contains(&cost) && result.len() == 23;
        fits.then_some(Self::Bcrypt { cost, salt, result, before })
    }

    /// Parses `v=2,t=2b,r=12$salt$result`, or `2b,12$salt$result` as written by the first version.
    fn bcrypt_sha256(rest: &str) -> Option<Self> {
        let parts: Vec<&str> = rest.split('$').collect();
        let [settings, salt, result] = parts[..] else { return None };
        let settings: Vec<&str> = settings.split(',').collect();
        let (cost, before) = match settings[..] {
            ["v=2", "t=2b", cost] => (cost.strip_prefix("r=")?, Before::Hmac(salt.to_owned())),
            ["2a" | "2b", cost] => (cost, Before::Sha256),
            _ => return None,
        };
        Self::bcrypt(number(cost)?, salt, result, before)
    }

    fn is_absurd_and_told(&self) -> bool {
        static TOLD: Once = Once::new();
        let absurd = match self {
            Self::Pbkdf2 { rounds, .. } => *rounds > MAX_ROUNDS,
            Self::Bcrypt { cost, .. } => *cost > MAX_COST,
        };
        if absurd {
            TOLD.call_once(|| {
                tracing::warn!(
                    "a password hash of other software costs too much to check; it matches no password"
                );
            });
        }
        absurd
    }

    fn fits(&self, password: &[u8]) -> bool {
        match self {
            Self::Pbkdf2 { rounds, salt, result } => {
                let mut made = vec![0; result.len()];
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut made);
                are_same(&made, result)
            }
            Self::Bcrypt { cost, salt, result, before } => {
                let Some(shown) = shown_to_bcrypt(password, before) else { return false };
                let made = bcrypt::bcrypt(*cost, *salt, &shown);
                are_same(&made[..23], result)
            }
        }
    }
}

/// Returns the bytes that bcrypt hashes: terminated by a zero, and cut at 72 as passlib does. For other software, a
/// zero inside would end the password, so passlib refuses such passwords and no hash can match.
fn shown_to_bcrypt(password: &[u8], before: &Before) -> Option<Vec<u8>> {
    let mut shown = match before {
        Before::Nothing if password.contains(&0) => return None,
        Before::Nothing => password.to_vec(),
        Before::Sha256 => encode(&Sha256::digest(password)),
        Before::Hmac(salt) => {
            let mut keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(salt.as_bytes()).ok()?;
            keyed.update(password);
            encode(&keyed.finalize().into_bytes())
        }
    };
    shown.push(0);
    shown.truncate(BCRYPT_BYTES);
    Some(shown)
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

fn decode(alphabet: &Alphabet, text: &str) -> Option<Vec<u8>> {
    // Some software leaves bits set after the last byte.
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let short = text.len() <= MAX_BYTES * 2;
    short.then(|| GeneralPurpose::new(alphabet, config).decode(text).ok())?
}

/// Parses digits only: `parse` alone would accept a sign.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that does not fit is excessive, not malformed.
    plain.then(|| text.parse().unwrap_or(u32::MAX))
}

fn phc_rounds(settings: &str) -> Option<u32> {
    let mut rounds = None;
    for setting in settings.split(',') {
        match setting.split_once('=')? {
            ("i", value) => rounds = Some(number(value)?),
            ("l", value) => _ = number(value)?,
            _ => return None,
        }
    }
    rounds
}

/// Compares in constant time.
fn are_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "mango salad";

    /// Made with passlib 1.7.4, bcrypt 4.0.1 and Django 5.2 (`pip install`), for example:
    /// `python -c 'from passlib.hash import *; P = "mango salad"
    ///  print(pbkdf2_sha256.using(rounds=29000, salt=b"0123456789abcdef").hash(P))
    ///  print(pbkdf2_sha256.using(rounds=1000, salt=b"").hash(P))
    ///  print(bcrypt.using(rounds=4, ident="2a", salt="abcdefghijklmnopqrstuu").hash(P))
    ///  print(bcrypt_sha256.using(rounds=4, salt="abcdefghijklmnopqrstuu").hash(P))
    ///  print(bcrypt_sha256.using(rounds=4, salt="abcdefghijklmnopqrstuu", version=1).hash(P))'`,
    /// Django: `PBKDF2PasswordHasher().encode("mango salad", "seasalt", 1000)`, PHC: `hashlib.pbkdf2_hmac`.
    const MADE_ELSEWHERE: [&str; 9] = [
        "$pbkdf2-sha256$29000$MDEyMzQ1Njc4OWFiY2RlZg$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
        "$pbkdf2-sha256$1000$$yKZNlaBSynaKX8USS61c6kNjvBuKvKHdl/5Jogtci2o",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$ezVaFpX7AXvqDmK5o8KtcR18vVTdCC3hEVi8uhgPLmg",
        "pbkdf2_sha256$1000$seasalt$QwfbI3Ys+dgF4pzWrxJwpixSXUFO+eQCNztJBClIjHI=",
        "$2a$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
        "$2b$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
        "$2y$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
        "$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuu$tFM92uUhwMRsZuY93Cf8KutLhxhkrVC",
        "$bcrypt-sha256$2b,4$abcdefghijklmnopqrstuu$E.GdMWXYxSrvTdUsNzk.2ZKd/taiRFK",
    ];

    #[test]
    fn what_passlib_and_django_made_fits_its_password_only() {
        for hash in MADE_ELSEWHERE {
            assert_eq!(verify(PASSWORD, hash), Some(true), "{hash}");
            assert!(is_usable(hash), "{hash}");
            for wrong in ["mango sorbet", "", "mango salad ", "Mango salad", "mango\0salad"] {
                assert_eq!(verify(wrong, hash), Some(false), "{wrong:?} {hash}");
            }
        }
        // Letters beyond ASCII, and a salt whose base64 has `.` and `/`.
        let hash = "$pbkdf2-sha256$1000$.//.AHNhbHQ$ofUPDcdBKJL4Jzrk.rkafr7ieWj1W/z7xhmg.Afz5U0";
        assert_eq!(verify("пароль", hash), Some(true));
        let empty = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";
        assert_eq!((verify("", empty), verify("\0", empty)), (Some(true), Some(false)));
    }

    #[test]
    fn a_hash_of_ours_that_costs_too_much_is_of_no_use() {
        let hash = |m: u32, t: u32| {
            format!(
                "$argon2id$v=19$m={m},t={t},p=1$c2FsdHNhbHRzYWx0$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
            )
        };
        assert!(is_usable(&hash(19_456, 2)) && is_usable(&hash(131_072, 10)));
        assert!(
            !is_usable(&hash(131_073, 1)) && !is_usable(&hash(1_048_576, 20)) && !is_usable(&hash(64, 11))
        );
    }

    #[test]
    fn bcrypt_takes_no_zero_byte() {
        // PBKDF2 itself treats a key with trailing zeros as equal, here as in passlib.
        for hash in MADE_ELSEWHERE.iter().filter(|it| it.starts_with("$2")) {
            assert_eq!(verify("mango salad\0", hash), Some(false), "{hash}");
            assert_eq!(verify("mango salad\0more", hash), Some(false), "{hash}");
        }
    }

    #[test]
    fn bcrypt_sees_72_bytes_as_in_passlib_and_bcrypt_sha256_sees_all() {
        // `bcrypt.hash("x" * 71 + "яйцо and more")`: the cut falls inside a letter.
        let cut = "$2b$04$abcdefghijklmnopqrstuuFAAtdfp76cn3q920AY3iRyJb91ls5jW";
        let whole = "$bcrypt-sha256$v=2,t=2b,r=4$abcdefghijklmnopqrstuu$TrU5hXLFY3LhI66DrdCRDak/1Bod6di";
        let long = format!("{}яйцо and more", "x".repeat(71));
        let first = format!("{}я", "x".repeat(71));
        assert_eq!((verify(&long, cut), verify(&long, whole)), (Some(true), Some(true)));
        assert_eq!((verify(&first, cut), verify(&first, whole)), (Some(true), Some(false)));
        assert_eq!(verify(&"x".repeat(71), cut), Some(false));
    }

    #[test]
    fn what_costs_too_much_fits_nothing_at_once() {
        let started = std::time::Instant::now();
        for hash in [
            "$pbkdf2-sha256$10000001$MDEyMzQ1Njc4OWFiY2RlZg$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "$pbkdf2-sha256$99999999999$MDEyMzQ1Njc4OWFiY2RlZg$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "pbkdf2_sha256$4294967295$seasalt$QwfbI3Ys+dgF4pzWrxJwpixSXUFO+eQCNztJBClIjHI=",
            "$2b$17$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
            "$2b$31$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
            "$bcrypt-sha256$v=2,t=2b,r=30$abcdefghijklmnopqrstuu$tFM92uUhwMRsZuY93Cf8KutLhxhkrVC",
        ] {
            assert_eq!(verify(PASSWORD, hash), None, "{hash}");
            assert!(!is_usable(hash), "{hash}");
        }
        assert!(started.elapsed().as_millis() < 500, "none was worked off");
    }

    #[test]
    fn what_is_no_hash_is_unknown() {
        let many =
            format!("$pbkdf2-sha256$1000${}$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM", "A".repeat(5_000));
        for text in [
            "",
            "!",
            "mango salad",
            "$",
            "$$$$",
            "5f4dcc3b5aa765d61d8327deb882cf99",
            "$pbkdf2-sha256$",
            "$pbkdf2-sha256$0$MDEy$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "$pbkdf2-sha256$-1$MDEy$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "$pbkdf2-sha256$1000$MDEy$",
            "$pbkdf2-sha256$1000$MDEy$QyrhjO",
            "$pbkdf2-sha256$1000$не$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "$pbkdf2-sha256$x=1,l=32$MDEy$ezVaFpX7AXvqDmK5o8KtcR18vVTdCC3hEVi8uhgPLmg",
            "$pbkdf2-sha512$1000$MDEy$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM",
            "$2x$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
            "$2b$03$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
            "$2b$4$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0m",
            "$2b$04$abcdefghijklmnopqrstuuZPBl7KurXUR3rASMqtUnACaMYOarB0",
            "$2b$04$абвгдежзийк1234567890123456789012345678901234567",
            &many,
        ] {
            assert_eq!(verify("", text), None, "{text}");
            assert!(!is_usable(text), "{text}");
        }
        assert!(is_usable(
            "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$ezVaFpX7AXvqDmK5o8KtcR18vVTdCC3hEVi8uhgPLmg"
        ));
    }
}
