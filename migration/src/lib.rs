//! The history of the schema, forward and back, with the same files for SQLite and PostgreSQL. A released migration is
//! never changed. Migrations do not use the entities, which keep changing.

pub use sea_orm_migration::prelude::*;

mod m20261101_01_create_schema;
mod m20261101_02_fill_message_types;
mod m20261120_01_add_accounts;
mod m20261127_01_fold_names;
mod m20261128_01_lean_message_indexes;
mod m20261129_01_unreferenced_messages;
mod m20261130_01_message_features;
mod m20261201_01_group_access;
mod m20261202_01_attachments;
mod m20261203_01_message_terms;
mod m20261204_01_report_queue;
mod m20261205_01_chat_name_keys;

/// All migrations in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261101_01_create_schema::Migration),
            Box::new(m20261101_02_fill_message_types::Migration),
            Box::new(m20261120_01_add_accounts::Migration),
            Box::new(m20261127_01_fold_names::Migration),
            Box::new(m20261128_01_lean_message_indexes::Migration),
            Box::new(m20261129_01_unreferenced_messages::Migration),
            Box::new(m20261130_01_message_features::Migration),
            Box::new(m20261201_01_group_access::Migration),
            Box::new(m20261202_01_attachments::Migration),
            Box::new(m20261203_01_message_terms::Migration),
            Box::new(m20261204_01_report_queue::Migration),
            Box::new(m20261205_01_chat_name_keys::Migration),
        ]
    }
}
