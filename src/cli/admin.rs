//! `mango-chat admin`.

use clap::Subcommand;

use crate::config::Settings;
use crate::domain::epoch;
use crate::domain::moderation::{self, Appointment};
use crate::error::{Error, Result};
use crate::{app, random};

#[derive(Clone, Subcommand)]
pub enum Command {
    /// Renews the epoch of the database, after a restore by other tools: clients drop their data and fetch it again.
    NewEpoch,
    /// Creates an admin, or with --promote makes an existing account one. Servers may be running.
    Create {
        /// Login name.
        #[arg(long)]
        username: String,
        /// E-mail address of the new account; it counts as confirmed.
        #[arg(long, conflicts_with = "promote")]
        email: Option<String>,
        /// Reads the password from the first line of standard input. Without it a random one is printed.
        #[arg(long, conflicts_with = "promote")]
        password_stdin: bool,
        /// Promotes the existing account of this name; its password stays.
        #[arg(long)]
        promote: bool,
    },
    /// Lists moderators and admins.
    List,
}

#[expect(clippy::print_stdout, reason = "the output of the commands")]
pub async fn run(command: Command, settings: Settings) -> Result<()> {
    match command {
        Command::NewEpoch => {
            let context = app::open_context(settings).await?;
            println!("the epoch is {} now; restart the servers", epoch::renew(&context).await?);
        }
        Command::Create { username, email, password_stdin, promote } => {
            let is_random = !promote && !password_stdin;
            let password = match (promote, password_stdin) {
                (true, _) => None,
                (false, true) => Some(read_password()?),
                (false, false) => Some(random::hex(12)?),
            };
            let context = app::open_context(settings).await?;
            let printed = password.clone().filter(|_| is_random);
            let request = Appointment { username: username.clone(), email, password };
            let id = moderation::appoint(&context, request).await?;
            println!("{username} is an admin now (user {id})");
            if let Some(password) = printed {
                println!("password: {password}");
            }
        }
        Command::List => {
            let context = app::open_context(settings).await?;
            for (id, username, role) in moderation::list_moderators(&context).await? {
                println!("{role} {} (user {id})", username.unwrap_or_else(|| "-".into()));
            }
        }
    }
    Ok(())
}

/// Reads one line of standard input, without its line break.
fn read_password() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Error::internal)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
