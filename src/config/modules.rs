//! Parts of the server that can be switched off.

use super::reader::{BadSetting, Reader};

/// A part of the server that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The admin panel and its REST paths.
    Admin,
    /// Swagger UI, the generated documents and the event console.
    Docs,
    /// E-mail: confirmation of addresses and recovery of passwords.
    Mail,
    /// `/metrics`.
    Metrics,
    /// The plain WebSocket.
    PlainWs,
    /// Search for messages.
    Search,
    /// The web client.
    Ui,
    /// Webhooks.
    Webhooks,
}

const NAMES: [(&str, Module); 8] = [
    ("admin", Module::Admin),
    ("docs", Module::Docs),
    ("mail", Module::Mail),
    ("metrics", Module::Metrics),
    ("plain_ws", Module::PlainWs),
    ("search", Module::Search),
    ("ui", Module::Ui),
    ("webhooks", Module::Webhooks),
];

/// The parts that are switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules(Vec<Module>);

impl Modules {
    /// Returns all parts.
    pub fn all() -> Self {
        Self(NAMES.iter().map(|(_, module)| *module).collect())
    }

    /// Whether a part is switched on.
    pub fn has(&self, module: Module) -> bool {
        self.0.contains(&module)
    }

    /// Returns the names of the parts that are switched on.
    pub fn names(&self) -> Vec<&'static str> {
        NAMES.iter().filter(|(_, module)| self.has(*module)).map(|(name, _)| *name).collect()
    }

    fn parse(value: &str) -> Option<Self> {
        match value {
            "all" => return Some(Self::all()),
            "none" => return Some(Self(Vec::new())),
            _ => {}
        }
        let find = |name: &str| NAMES.iter().find(|(it, _)| *it == name.trim()).map(|(_, module)| *module);
        value.split(',').map(find).collect::<Option<_>>().map(Self)
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Modules, BadSetting> {
    r.read(
        "MODULES",
        "all",
        "parts that are switched on: all, none, or a list of admin, docs, mail, metrics, plain_ws, search, ui and \
         webhooks; what is off answers 404 and is not documented",
        "all, none, or a comma-separated list of admin, docs, mail, metrics, plain_ws, search, ui, webhooks",
        Modules::parse,
    )
}
