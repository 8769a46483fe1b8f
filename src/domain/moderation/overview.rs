//! What the server does and how it is set up, for the admin panel.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::moderators::{Admin, Moderator};
use crate::clock::Timestamp;
use crate::config::StorageKind;
use crate::domain::AppContext;
use crate::error::Result;
use crate::platform::telemetry::{self, Sample};
use crate::protocol::moderation::{AdminSetting, Overview, OverviewDatabase, OverviewSample};

/// Returns the last ten minutes of this server.
pub async fn overview(context: &AppContext, _: &Moderator) -> Result<Overview> {
    let conn = context.db.read();
    let backend = conn.get_database_backend();
    let (kind, size) = match backend {
        DbBackend::Postgres => ("postgres", "SELECT pg_database_size(current_database()) AS size"),
        _ => ("sqlite", "SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size()"),
    };
    let row = conn.query_one_raw(Statement::from_string(backend, size)).await?;
    let size_bytes = row.map(|row| row.try_get("", "size")).transpose()?.unwrap_or(0);
    Ok(Overview {
        started_at: Timestamp(context.started_at),
        version: env!("CARGO_PKG_VERSION"),
        every_secs: telemetry::EVERY.as_secs(),
        samples: context.telemetry.samples().iter().map(show).collect(),
        database: OverviewDatabase { kind, size_bytes },
        storage: match context.settings.storage {
            StorageKind::Local => "local",
            StorageKind::S3(_) => "s3",
        },
    })
}

fn show(sample: &Sample) -> OverviewSample {
    OverviewSample {
        at: Timestamp(sample.at),
        connections: sample.connections,
        users_online: sample.users_online,
        messages: sample.messages,
        errors: sample.errors,
        send_p50_ms: sample.send_p50_ms,
        send_p99_ms: sample.send_p99_ms,
        queue: sample.queue,
    }
}

/// Returns all settings, without the values of secrets.
pub fn settings(context: &AppContext, _: &Admin) -> Vec<AdminSetting> {
    let show = |setting: &crate::config::Described| AdminSetting {
        name: setting.name,
        value: setting.value.clone().filter(|_| !setting.is_secret()),
        default: setting.default.clone(),
        meaning: setting.meaning,
        is_secret: setting.is_secret(),
        is_set: setting.value.is_some(),
    };
    context.settings.described.iter().map(show).collect()
}
