//! The OpenAPI document, generated from the handlers, and the pages that show the documents.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::routing::{get, post};
use utoipa::openapi::Server;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::config::{Module, Modules, Settings};
use crate::protocol::asyncapi;
use crate::transport::ops::health;
use crate::transport::pages;
use crate::transport::rest::{
    RestState, account, admin, attachments, auth, chats, contacts, documented_refusals, errors, events,
    groups, messages, photos, postman, recovery, search, users,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mango Chat",
        description = "Accounts, tokens, photos, contacts and reading. Chatting goes over Socket.IO events, see /asyncapi.json; \
            each event can also be sent to /events/{event}. Errors are explained at /docs/errors.",
        license(name = "MIT", identifier = "MIT"),
    ),
    modifiers(&Bearer),
    tags(
        (name = "user", description = "Registration and profiles"),
        (name = "auth", description = "Tokens and sessions"),
        (name = "chat", description = "Chats and messages"),
        (name = "events", description = "All client events over REST, with the same payloads and replies"),
        (name = "photos", description = "Photos"),
        (name = "mango", description = "Mango-compatible aliases"),
        (name = "admin", description = "For moderators and admins"),
        (name = "ops", description = "For operators"),
    ),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Returns the routes of the modules that are switched on, with their descriptions.
pub fn routes(modules: &Modules) -> OpenApiRouter<RestState> {
    let mut all = always();
    for (module, routes) in [
        (Module::Search, search_routes as fn() -> OpenApiRouter<RestState>),
        (Module::Mail, mail_routes),
        (Module::Admin, admin_routes),
    ] {
        if modules.has(module) {
            all = all.merge(routes());
        }
    }
    all
}

fn always() -> OpenApiRouter<RestState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(users::register, users::search))
        .routes(routes!(users::mango_register))
        .routes(routes!(users::me, users::patch_me, account::delete))
        .routes(routes!(account::delete_by_post))
        .routes(routes!(account::export))
        .routes(routes!(users::profile, users::mango_patch))
        .routes(routes!(users::put_photo, users::delete_photo))
        .routes(routes!(contacts::following))
        .routes(routes!(contacts::followers))
        .routes(routes!(contacts::blocked))
        .routes(routes!(photos::photo_to_base64))
        .routes(routes!(photos::read))
        .routes(routes!(auth::login))
        .routes(routes!(auth::mango_login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::mango_refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::list_sessions))
        .routes(routes!(auth::end_session))
        .routes(routes!(recovery::change))
        .routes(routes!(chats::list))
        .routes(routes!(chats::list_pinned))
        .routes(routes!(chats::one))
        .routes(routes!(chats::members))
        .routes(routes!(chats::messages))
        .routes(routes!(chats::mango_messages))
        .routes(routes!(chats::message_types))
        .merge(
            // The handler limits the size of the file.
            OpenApiRouter::new().routes(routes!(attachments::upload)).layer(DefaultBodyLimit::disable()),
        )
        .routes(routes!(attachments::download))
        .routes(routes!(groups::create_invite, groups::invites))
        .routes(routes!(groups::revoke_invite))
        .routes(routes!(groups::preview))
        .routes(routes!(groups::accept))
        .routes(routes!(groups::join_requests))
        .routes(routes!(groups::bans))
        .routes(routes!(groups::put_photo, groups::delete_photo))
        .routes(routes!(messages::likes))
        .routes(routes!(messages::reactions))
        .routes(routes!(messages::reads))
        .routes(routes!(messages::edits))
        .routes(routes!(messages::rendered))
        .routes(routes!(messages::pinned))
        .route("/events/{event}", post(events::run))
        .routes(routes!(admin::report))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}

fn search_routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(search::everywhere)).routes(routes!(search::in_chat))
}

fn mail_routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(recovery::verify))
        .routes(routes!(recovery::resend))
        .routes(routes!(recovery::forgot))
        .routes(routes!(recovery::reset))
}

fn admin_routes() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(admin::list_people))
        .routes(routes!(admin::one_person, admin::delete_user))
        .routes(routes!(admin::mail_password_reset))
        .routes(routes!(admin::list_chats))
        .routes(routes!(admin::delete_chat))
        .routes(routes!(admin::read_chat))
        .routes(routes!(admin::delete_message))
        .routes(routes!(admin::resend_mail))
        .routes(routes!(admin::overview))
        .routes(routes!(admin::settings))
        .routes(routes!(admin::ban))
        .routes(routes!(admin::unban))
        .routes(routes!(admin::set_role))
        .routes(routes!(admin::list_sessions_of, admin::end_sessions))
        .routes(routes!(admin::list_reports))
        .routes(routes!(admin::claim_report))
        .routes(routes!(admin::note_report))
        .routes(routes!(admin::resolve_report))
        .routes(routes!(admin::audit))
        .routes(routes!(admin::mails))
        .routes(routes!(admin::statistics))
}

/// Returns the OpenAPI document of all modules.
pub fn openapi() -> utoipa::openapi::OpenApi {
    describe(routes(&Modules::all()).split_for_parts().1)
}

/// Adds what cannot be derived from the handlers.
fn describe(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    events::document(&mut document);
    documented_refusals::document(document)
}

/// Returns the routes of Swagger UI, of the documents and of the pages. The documents name the path that a proxy strips.
pub fn pages(document: utoipa::openapi::OpenApi, settings: &Settings) -> Router<RestState> {
    let mut router = Router::new().route("/client/{name}", get(pages::client::client));
    if settings.modules.has(Module::Docs) {
        router = router.merge(documents(document, settings));
    }
    router.merge(pages::web::pages(settings))
}

fn documents(document: utoipa::openapi::OpenApi, settings: &Settings) -> Router<RestState> {
    let (path, url) = (settings.public_url.path(), settings.public_url.as_str());
    let mut document = describe(document);
    let postman =
        serde_json::to_value(&document).map(|openapi| postman::collection(&openapi, url)).unwrap_or_default();
    if !path.is_empty() {
        document.servers = Some(vec![Server::new(path)]);
    }
    // Relative to `/docs/`.
    let config = Config::new(["../openapi.json"]);
    Router::new()
        .merge(SwaggerUi::new("/docs").config(config))
        .route("/openapi.json", get(async move || axum::Json(document)))
        .route("/docs/errors", get(errors::page))
        .route("/postman.json", get(async move || axum::Json(postman)))
        .route("/events.d.ts", get(async || pages::client::client(Path("events.d.ts".to_owned())).await))
        .route("/asyncapi.json", get(async || axum::Json(asyncapi::document())))
}
