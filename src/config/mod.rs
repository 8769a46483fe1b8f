//! Settings: read once at startup, validated as a whole, then passed down as plain values. Nothing else reads the
//! environment.

mod contacts;
mod database;
mod files;
mod log;
mod mail;
mod modules;
mod origins;
mod passwords;
mod public_url;
mod rates;
mod reader;
mod registration;
mod sizes;
mod smtp;
mod sockets;
mod storage;
mod tokens;
mod word_filter;

pub use contacts::{ContactRule, Contacts};
pub use database::{Database, DatabaseLimits};
pub use files::load_env_files;
pub use log::{Log, LogFormat};
pub use mail::{Mail, Verification};
pub use modules::{Module, Modules};
pub use origins::CorsOrigins;
pub use passwords::{HashCost, Passwords};
pub use public_url::PublicUrl;
pub use rates::{Rate, Rates};
use reader::bad;
pub use reader::{BadSetting, Described, Reader};
pub use registration::Registration;
pub use sizes::{Chats, Photos};
pub use smtp::{Security, Smtp};
pub use sockets::Sockets;
pub use storage::{S3, StorageKind, sqlite_url};
pub use tokens::Tokens;
pub use word_filter::WordFilter;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The environment that the server runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's own machine: demo users, loopback.
    Local,
    /// A shared development server.
    Dev,
    /// Automatic tests.
    Test,
    /// Production.
    Prod,
}

/// All settings, validated.
#[derive(Clone)]
pub struct Settings {
    /// `MANGO_ENV`.
    pub environment: Environment,
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Folder of the database, photos and the generated secret.
    pub data_dir: PathBuf,
    /// The database and how it is used.
    pub database: Database,
    /// Where photos are stored.
    pub storage: StorageKind,
    /// The URL that clients use to reach the server.
    pub public_url: PublicUrl,
    /// Tokens and sessions.
    pub tokens: Tokens,
    /// Passwords.
    pub passwords: Passwords,
    /// Mail.
    pub mail: Mail,
    /// Who may contact whom.
    pub contacts: Contacts,
    /// Rate limits.
    pub rates: Rates,
    /// Web origins that may send credentials.
    pub cors_origins: CorsOrigins,
    /// Limits on photos.
    pub photos: Photos,
    /// Limits on chats and messages.
    pub chats: Chats,
    /// Limits on connections.
    pub sockets: Sockets,
    /// Where and how the server logs.
    pub log: Log,
    /// The parts that are switched on.
    pub modules: Modules,
    /// Who may register.
    pub registration: Registration,
    /// Words that messages must not contain.
    pub word_filter: Option<WordFilter>,
    /// Whether responses with status 500 contain the cause.
    pub debug: bool,
    /// How long a shutdown may take.
    pub shutdown_grace: Duration,
}

impl Settings {
    /// Reads and validates all settings from `source`.
    pub fn from_source(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        Self::read(&mut Reader::new(source))
    }

    /// Returns whether clients use https. Cookies are `Secure` then.
    pub fn is_https(&self) -> bool {
        self.public_url.origin().starts_with("https://")
    }

    /// Checks the settings that only a server needs; commands such as `migrate` run without them.
    pub fn require_for_serving(&self) -> Result<(), BadSetting> {
        if self.environment == Environment::Prod && self.tokens.secret.is_none() {
            return Err(BadSetting(
                "JWT_SECRET: is not set; prod requires a secret of at least 32 bytes".into(),
            ));
        }
        Ok(())
    }

    /// Returns all settings with their defaults and meanings, for `--help` and `.env`.
    pub fn describe() -> Vec<Described> {
        let nothing = |_: &str| None;
        let mut reader = Reader::new(&nothing);
        // Without values, only the defaults are read, and they are valid.
        drop(Self::read(&mut reader));
        reader.into_described()
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, BadSetting> {
        let environment = r.read(
            "MANGO_ENV",
            "local",
            "environment: local, dev, test or prod; `local` seeds an empty database with demo users",
            "local, dev, test or prod",
            |value| match value {
                "local" => Some(Environment::Local),
                "dev" => Some(Environment::Dev),
                "test" => Some(Environment::Test),
                "prod" => Some(Environment::Prod),
                _ => None,
            },
        )?;
        let bind = read_bind(r, environment)?;
        let data_dir = PathBuf::from(r.text(
            "DATA_DIR",
            "data",
            "folder of the database, photos and the generated secret",
        ));
        let database = database::read(r, &data_dir)?;
        refuse_redis(r)?;
        let storage = storage::read(r)?;
        let public_url = origins::read_public_url(r, environment, bind.port())?;
        let tokens = tokens::read(r)?;
        let passwords = passwords::read(r, environment)?;
        let mail = mail::read(r)?;
        let contacts = contacts::read(r)?;
        let rates = rates::read(r, environment)?;
        let cors_origins = origins::read_cors(r)?;
        let photos = sizes::read_photos(r)?;
        let chats = sizes::read_chats(r)?;
        let sockets = sockets::read(r)?;
        let log = log::read(r)?;
        let modules = modules::read(r)?;
        let registration = registration::read(r)?;
        let word_filter = word_filter::read(r)?;
        if mail.verification != Verification::Off && !modules.has(Module::Mail) {
            return Err(BadSetting(
                "EMAIL_VERIFICATION: must be off, because MODULES is without mail".into(),
            ));
        }
        let debug = r.flag("DEBUG", false, "500 responses carry the cause; refused in prod")?;
        if debug && environment == Environment::Prod {
            return Err(BadSetting("DEBUG: must be false in prod".into()));
        }
        let grace = "time to finish received requests and events at shutdown, seconds";
        let shutdown_grace = r.number("SHUTDOWN_GRACE_SECS", 10, grace, 1, 600).map(Duration::from_secs)?;
        Ok(Self {
            environment,
            bind,
            data_dir,
            database,
            storage,
            public_url,
            tokens,
            passwords,
            mail,
            contacts,
            rates,
            cors_origins,
            photos,
            chats,
            sockets,
            log,
            modules,
            registration,
            word_filter,
            debug,
            shutdown_grace,
        })
    }
}

fn read_bind(r: &mut Reader<'_>, environment: Environment) -> Result<SocketAddr, BadSetting> {
    let bind = r
        .raw(
            "BIND",
            "",
            "address and port to listen on; port 0 picks a free one [127.0.0.1:5000 in local, 0.0.0.0:5000 else]",
        )
        .unwrap_or_else(|| match environment {
            Environment::Local => "127.0.0.1:5000".to_owned(),
            _ => "0.0.0.0:5000".to_owned(),
        });
    bind.replace("localhost:", "127.0.0.1:")
        .parse()
        .map_err(|_| bad("BIND", &bind, "an address and a port, such as 127.0.0.1:5000"))
}

/// Refuses `REDIS_URL`: if it were ignored, several nodes would seem to work together.
fn refuse_redis(r: &mut Reader<'_>) -> Result<(), BadSetting> {
    match r.raw("REDIS_URL", "", "reserved for several nodes; this version runs as one process") {
        None => Ok(()),
        Some(_) => Err(BadSetting(
            "REDIS_URL: this version runs as a single process and does not share events; leave it empty"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, BadSetting> {
        Settings::from_source(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_is_a_whole_local_product() {
        let settings = with(&[]).expect("defaults fit");
        assert_eq!(settings.bind.to_string(), "127.0.0.1:5000");
        assert_eq!(settings.database.url, "sqlite://data/mango.db");
        assert_eq!(settings.storage, StorageKind::Local);
    }

    #[test]
    fn links_lead_to_where_a_local_server_listens() {
        for (pairs, url) in [
            (&[("BIND", "127.0.0.1:8080")][..], "http://localhost:8080"),
            (&[("BIND", "127.0.0.1:0")], "http://localhost:5000"),
            (&[("BIND", "127.0.0.1:8080"), ("PUBLIC_URL", "https://x.org/chat")], "https://x.org/chat"),
            (&[("BIND", "127.0.0.1:8080"), ("MANGO_ENV", "test")], "http://localhost:5000"),
        ] {
            assert_eq!(with(pairs).expect("fits").public_url.as_str(), url, "{pairs:?}");
        }
    }

    #[test]
    fn a_data_folder_of_any_name_becomes_a_url_that_names_it() {
        let settings = with(&[("DATA_DIR", "/srv/50% off?/#1 ü")]).expect("any name fits");
        assert_eq!(settings.database.url, "sqlite:///srv/50%25%20off%3F/%231%20ü/mango.db");
    }

    #[test]
    fn a_bad_value_is_one_line_with_name_value_and_what_fits() {
        for (name, value) in [
            ("MANGO_ENV", "production"),
            ("BIND", "5000"),
            ("DATABASE_URL", "mysql://x"),
            ("DB_MAX_CONNECTIONS", "2"),
            ("DB_STATEMENT_TIMEOUT_MS", "10s"),
            ("STORAGE", "ftp"),
            ("PUBLIC_URL", "chat.example.org"),
            ("JWT_SECRET", "short"),
            ("ACCESS_TOKEN_TTL_SECS", "0"),
            ("PASSWORD_HASH", "argon2id,m=1,t=1,p=1"),
            ("CORS_ORIGINS", "chat.example.org"),
            ("MAX_PHOTO_BYTES", "8M"),
            ("PING_INTERVAL_MS", "-1"),
            ("LOG_FORMAT", "xml"),
            ("RUST_LOG", "mango=loud"),
            ("MODULES", "chat"),
            ("REGISTRATION", "maybe"),
            ("WORD_FILTER", "/no/such/file"),
            ("WORD_FILTER_ACTION", "delete"),
            ("DEBUG", "maybe"),
            ("REDIS_URL", "redis://localhost"),
            ("PASSWORD_BLOCKLIST", "maybe"),
            ("EMAIL_VERIFICATION", "always"),
            ("SMTP_URL", "mail.example.org"),
            ("SMTP_URL", "smtp://mail.example.org?tls=no"),
            ("MAIL_FROM", "nobody"),
            ("CONTACT_POLICY", "approval,strict"),
            ("DUPLICATE_WINDOW_MS", "-1"),
            ("MAX_CHATS_PER_USER", "0"),
            ("TRUSTED_PROXIES", "10.0.0.0/33"),
            ("RATE_LIMIT", "sometimes"),
            ("RATE_LOGIN", "10"),
            ("RATE_SEND", "0/s"),
            ("MAX_PENDING_SOCKETS", "none"),
        ] {
            let Err(BadSetting(line)) = with(&[(name, value)]) else { panic!("{name}={value} was taken") };
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        let Err(BadSetting(line)) = with(&[("JWT_SECRET", "hush-hush")]) else {
            panic!("short secret taken")
        };
        assert!(!line.contains("hush"), "a secret is not repeated: {line}");
        let Err(BadSetting(line)) = with(&[("SMTP_URL", "smtps://me:hush-hush@mail.example.org?x=y")]) else {
            panic!("an unknown parameter was taken")
        };
        assert!(!line.contains("hush"), "nor is a password: {line}");
    }

    #[test]
    fn prod_takes_no_generated_secret_and_no_debug() {
        let prod = with(&[("MANGO_ENV", "prod")]).expect("migrating does without a secret");
        assert!(prod.require_for_serving().is_err());
        let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        assert!(with(&[("MANGO_ENV", "prod"), secret]).is_ok());
        assert!(with(&[("MANGO_ENV", "prod"), secret, ("DEBUG", "true")]).is_err());
    }
}
