//! Settings: read once at start, checked whole, then passed down as plain values. Nothing below asks the
//! environment again.

mod contacts_and_mail;
mod database;
mod files;
mod limits;
mod public_url;
mod reader;
mod smtp;
mod storage;

pub use contacts_and_mail::{Contacts, Mail, Verification};
pub use database::DatabaseLimits;
pub use files::load_env_files;
pub use limits::{Rate, Rates};
pub use public_url::PublicUrl;
use reader::bad;
pub use reader::{BadSetting, Described, Reader};
pub use smtp::{Security, Smtp};
pub use storage::{S3, StorageKind, sqlite_url};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which landscape this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// One's own machine: demo users, loopback.
    Local,
    /// A shared development server.
    Dev,
    /// Automatic tests.
    Test,
    /// The real thing: no guesses.
    Prod,
}

/// Who may call from another origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody, without credentials.
    Any,
    /// These, with credentials.
    Listed(Vec<String>),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// Costs of a password hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Every setting of the product, checked.
#[derive(Clone)]
#[expect(
    missing_docs,
    reason = "each field is the variable of its name; the reader below says what it means"
)]
pub struct Settings {
    pub environment: Environment,
    pub bind: SocketAddr,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub database_limits: DatabaseLimits,
    pub migrate_on_start: bool,
    pub storage: StorageKind,
    pub public_url: PublicUrl,
    /// Empty: generated and kept in the data folder.
    pub jwt_secret: Option<String>,
    pub access_token_ttl: Duration,
    pub refresh_token_ttl: Duration,
    pub session_max: Duration,
    pub password_hash: HashCost,
    pub password_blocklist: bool,
    pub mail: Mail,
    pub contacts: Contacts,
    pub rates: Rates,
    pub cors_origins: CorsOrigins,
    pub max_photo_bytes: usize,
    pub max_photo_pixels: u64,
    pub max_message_bytes: usize,
    pub max_frame_bytes: usize,
    pub max_group_members: usize,
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    pub connect_timeout: Duration,
    pub log_dir: PathBuf,
    pub log_format: LogFormat,
    pub log_filter: String,
    pub debug: bool,
    pub shutdown_grace: Duration,
}

impl Settings {
    /// Reads and checks all settings from `source`.
    pub fn from_source(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        Self::read(&mut Reader::new(source))
    }

    /// Whether clients come by https: cookies are `Secure` then.
    pub fn is_https(&self) -> bool {
        self.public_url.origin().starts_with("https://")
    }

    /// What serving takes beyond reading: commands such as `migrate` do without.
    pub fn require_for_serving(&self) -> Result<(), BadSetting> {
        if self.environment == Environment::Prod && self.jwt_secret.is_none() {
            return Err(BadSetting(
                "JWT_SECRET: got nothing, prod takes a secret of at least 32 bytes".into(),
            ));
        }
        Ok(())
    }

    /// All settings with defaults and meaning, for `--help` and `.env`.
    pub fn describe() -> Vec<Described> {
        let nothing = |_: &str| None;
        let mut reader = Reader::new(&nothing);
        // Without values there are only defaults, which fit.
        drop(Self::read(&mut reader));
        reader.into_described()
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, BadSetting> {
        let environment = r.read(
            "MANGO_ENV",
            "local",
            "landscape; `local` seeds demo users on an empty database",
            "local, dev, test or prod",
            |value| match value {
                "local" => Some(Environment::Local),
                "dev" => Some(Environment::Dev),
                "test" => Some(Environment::Test),
                "prod" => Some(Environment::Prod),
                _ => None,
            },
        )?;
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
        let bind: SocketAddr = bind
            .replace("localhost:", "127.0.0.1:")
            .parse()
            .map_err(|_| bad("BIND", &bind, "an address and a port, such as 127.0.0.1:5000"))?;
        let data_dir =
            PathBuf::from(r.text("DATA_DIR", "data", "database, photos and generated secret live here"));
        let default_url = sqlite_url(&data_dir.join("mango.db"));
        let database_url = r
            .raw(
                "DATABASE_URL",
                "",
                "sqlite://FILE, sqlite::memory: or postgres://… [sqlite://DATA_DIR/mango.db]",
            )
            .unwrap_or(default_url);
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| database_url.starts_with(scheme))
        {
            return Err(bad("DATABASE_URL", &database_url, "sqlite://FILE, sqlite::memory: or postgres://…"));
        }
        let database_limits = database::read(r)?;
        let migrate_on_start = r.flag("MIGRATE_ON_START", true, "bring the database up to date at start")?;
        if r.raw("REDIS_URL", "", "reserved for several nodes; this version runs as one").is_some() {
            return Err(BadSetting(
                "REDIS_URL: this version runs as a single node and does not share events; leave it empty"
                    .into(),
            ));
        }
        let storage = storage::read(r)?;
        let default_public_url = match bind.port() {
            port if environment == Environment::Local && port != 0 => format!("http://localhost:{port}"),
            _ => "http://localhost:5000".to_owned(),
        };
        let public_url = r
            .raw(
                "PUBLIC_URL",
                "http://localhost:5000",
                "how clients reach the server, in local with the port of BIND; https makes cookies Secure, a path is kept",
            )
            .unwrap_or(default_public_url);
        let public_url = PublicUrl::parse(&public_url).ok_or_else(|| {
            bad("PUBLIC_URL", &public_url, "a URL that begins with http:// or https://, without ? and #")
        })?;
        let jwt_secret = r.raw(
            "JWT_SECRET",
            "",
            "signs tokens, at least 32 bytes; required in prod, else generated and kept in DATA_DIR",
        );
        if let Some(secret) = jwt_secret.as_ref().filter(|it| it.len() < 32) {
            return Err(bad("JWT_SECRET", secret, "at least 32 bytes"));
        }
        let seconds = |r: &mut Reader<'_>, name, default: u64, meaning| {
            r.number(name, default, meaning, 1, 315_360_000).map(Duration::from_secs)
        };
        let access_token_ttl =
            seconds(r, "ACCESS_TOKEN_TTL_SECS", 1_800, "lifetime of an access token, seconds")?;
        let refresh_token_ttl =
            seconds(r, "REFRESH_TOKEN_TTL_SECS", 604_800, "lifetime of a refresh token, seconds")?;
        let session_max =
            seconds(r, "SESSION_MAX_SECS", 7_776_000, "a session ends at the latest after, seconds")?;
        let password_hash = r.read(
            "PASSWORD_HASH",
            "argon2id,m=19456,t=2,p=1",
            "argon2id costs: memory in KiB, passes, lanes; older hashes keep verifying",
            "argon2id,m=KIB,t=PASSES,p=LANES with m from 8*p to 1048576, t from 1 to 20, p from 1 to 8",
            parse_cost,
        )?;
        let password_blocklist = r
            .optional_flag("PASSWORD_BLOCKLIST", "refuse the 10,000 most common passwords [on in prod]")?
            .unwrap_or(environment == Environment::Prod);
        let mail = contacts_and_mail::read_mail(r)?;
        let contacts = contacts_and_mail::read_contacts(r)?;
        let rates = limits::read(r, environment)?;
        let cors_origins = r.read(
            "CORS_ORIGINS",
            "*",
            "comma list of origins that may call with credentials, or * for all without",
            "* or a comma list of origins such as https://chat.example.org",
            |value| {
                if value == "*" {
                    return Some(CorsOrigins::Any);
                }
                let listed: Vec<String> =
                    value.split(',').map(|it| it.trim().trim_end_matches('/').to_owned()).collect();
                listed
                    .iter()
                    .all(|it| it.starts_with("http://") || it.starts_with("https://"))
                    .then_some(CorsOrigins::Listed(listed))
            },
        )?;
        let max_photo_bytes =
            r.number("MAX_PHOTO_BYTES", 8_388_608, "largest photo, bytes", 1_024, 134_217_728)?;
        let max_photo_pixels = r.number(
            "MAX_PHOTO_PIXELS",
            50_000_000,
            "largest photo, pixels; checked before decoding",
            1,
            400_000_000,
        )?;
        let max_message_bytes =
            r.number("MAX_MESSAGE_BYTES", 65_536, "largest content of a message, bytes", 1, 16_777_216)?;
        let max_frame_bytes = r.number(
            "MAX_FRAME_BYTES",
            1_000_000,
            "largest frame of a socket, bytes; a larger one ends the connection",
            1_024,
            134_217_728,
        )?;
        let max_group_members =
            r.number("MAX_GROUP_MEMBERS", 10_000, "members of a group at most", 2, 30_000)?;
        let millis = |r: &mut Reader<'_>, name, default: u64, meaning| {
            r.number(name, default, meaning, 100, 3_600_000).map(Duration::from_millis)
        };
        let ping_interval = millis(r, "PING_INTERVAL_MS", 25_000, "Engine.IO ping every, milliseconds")?;
        let ping_timeout =
            millis(r, "PING_TIMEOUT_MS", 20_000, "a connection without a pong ends after, milliseconds")?;
        let connect_timeout =
            millis(r, "CONNECT_TIMEOUT_MS", 10_000, "a socket has to join a namespace within, milliseconds")?;
        let log_dir = PathBuf::from(r.text("LOG_DIR", "assets/logs", "rotating log files"));
        let log_format =
            r.read("LOG_FORMAT", "pretty", "log lines for people or machines", "pretty or json", |value| {
                match value {
                    "pretty" => Some(LogFormat::Pretty),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                }
            })?;
        let log_filter = r.read(
            "RUST_LOG",
            "info",
            "what is logged, as tracing's filter",
            "a filter such as info or mango_chat=debug",
            |value| tracing_subscriber::EnvFilter::try_new(value).ok().map(|_| value.to_owned()),
        )?;
        let debug = r.flag("DEBUG", false, "500 answers carry the cause; refused in prod")?;
        if debug && environment == Environment::Prod {
            return Err(BadSetting("DEBUG: got `true`, prod takes only false".into()));
        }
        let shutdown_grace = r
            .number(
                "SHUTDOWN_GRACE_SECS",
                10,
                "time to finish what was received at shutdown, seconds",
                1,
                600,
            )
            .map(Duration::from_secs)?;
        Ok(Self {
            environment,
            bind,
            data_dir,
            database_url,
            database_limits,
            migrate_on_start,
            storage,
            public_url,
            jwt_secret,
            access_token_ttl,
            refresh_token_ttl,
            session_max,
            password_hash,
            password_blocklist,
            mail,
            contacts,
            rates,
            cors_origins,
            max_photo_bytes,
            max_photo_pixels,
            max_message_bytes,
            max_frame_bytes,
            max_group_members,
            ping_interval,
            ping_timeout,
            connect_timeout,
            log_dir,
            log_format,
            log_filter,
            debug,
            shutdown_grace,
        })
    }
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
        assert_eq!(settings.database_url, "sqlite://data/mango.db");
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
        assert_eq!(settings.database_url, "sqlite:///srv/50%25%20off%3F/%231%20ü/mango.db");
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
