//! The integration tests, as one binary: real servers on port 0, real clients, a fresh database per test. `TEST_DB`
//! chooses the database: `sqlite` (default) or `postgres`, which needs `TEST_DATABASE_URL_PG`.

#![expect(clippy::expect_used, reason = "a test that cannot go on says why and ends")]

mod account_end;
mod around;
mod attachments;
mod backups;
mod binary;
mod checker;
mod collisions;
mod commit_faults;
mod contacts;
mod crowd;
mod database_files;
mod dependencies;
mod dismissed;
mod docs;
mod documents;
mod faults;
mod flow;
mod full_disk;
mod group_access;
mod guards;
mod hostile;
mod house_rules;
mod hung_database;
mod import;
mod inputs;
mod lanes;
mod limits;
mod locks;
mod mail;
mod message_features;
mod migrations;
mod moderation;
mod no_database;
mod plain;
mod reading;
mod real_clients;
mod refusing_database;
mod regressions;
mod rendered;
mod rules;
mod search;
mod security;
mod security_table;
mod sessions;
mod stops;
mod storage;
mod support;
mod sync;
mod tidy;
mod transports;
mod unheard;
mod verify;
mod writer;
