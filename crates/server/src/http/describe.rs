//! The description of the API, made from the types that handlers take and give.
//!
//! A route can only be declared with a handler whose every argument and answer is [`Described`], so there is no parameter,
//! body or answer that `/openapi.json` does not know of.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Content, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

use super::{App, Failure};
use crate::service::Access;

const ABOUT: &str = "Search by pictures and by stored images, embed, explain, add and remove. Bodies are \
                     multipart/form-data; a request of fields only may be application/json, and one picture alone may be sent \
                     as it is with its image/* type. Every error is an object {error: {code, message, hint}}.";

/// A type that a handler takes or gives.
pub(super) trait Described {
    /// Adds what it is to the operation.
    fn describe(operation: &mut Description);
}

/// One operation, and the schemas that it names.
#[derive(Default)]
pub(super) struct Description {
    pub operation: Operation,
    pub schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Description {
    /// A reference to the schema of `T`, which is added with all that it names.
    pub fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut named = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut named);
        self.schemas.extend(named);
        utoipa::openapi::Ref::from_schema_name(T::name()).into()
    }

    /// Adds an answer of this status.
    pub fn answers(&mut self, status: u16, meaning: &str, content: &[(&str, Option<RefOr<Schema>>)]) {
        let mut response = ResponseBuilder::new().description(meaning);
        for (kind, schema) in content {
            response = response.content(*kind, Content::new(schema.clone()));
        }
        self.operation.responses.responses.insert(status.to_string(), response.build().into());
    }

    /// Adds failures.
    pub fn fails(&mut self, statuses: &[u16]) {
        for status in statuses {
            let schema = self.schema::<super::failure::Error>();
            self.answers(*status, meaning(*status), &[("application/json", Some(schema))]);
        }
    }
}

/// What a failure of this status means.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "A field or the body is not what it should be",
        401 => "No API key, or an unknown one",
        403 => "The key may only read, or this server does not allow it",
        404 => "No such collection or image",
        408 => "The body did not arrive in time",
        409 => "There is one of this name, or there are too many",
        410 => "The file is not there any more",
        413 => "Over the limit of bytes or pixels",
        415 => "A body or picture of an unknown kind",
        422 => "A picture that is cut off or damaged",
        503 => "Too much at once; try again after Retry-After seconds",
        507 => "No room for the picture; nothing was added",
        _ => "A failure",
    }
}

/// A handler of which everything is described; `T` are the types of its arguments, as axum has them.
pub(super) trait DescribedHandler<T>: Handler<T, Arc<App>> {
    /// Describes its arguments and its answer.
    fn describe(description: &mut Description);
}

macro_rules! described_handlers {
    ($($input:ident)*) => {
        impl<F, Fut, Answer, Marker, $($input),*> DescribedHandler<(Marker, State<Arc<App>>, $($input,)*)> for F
        where
            F: Fn(State<Arc<App>>, $($input),*) -> Fut + Handler<(Marker, State<Arc<App>>, $($input,)*), Arc<App>>,
            Fut: Future<Output = Result<Answer, Failure>>,
            Answer: Described,
            $($input: Described,)*
        {
            fn describe(description: &mut Description) {
                $($input::describe(description);)*
                Answer::describe(description);
            }
        }
    };
}

described_handlers!();
described_handlers!(A);
described_handlers!(A B);

impl<T: IntoParams> Described for Path<T> {
    fn describe(description: &mut Description) {
        let parameters = T::into_params(|| Some(ParameterIn::Path));
        description.operation.parameters.get_or_insert_default().extend(parameters.into_iter().map(Into::into));
        description.fails(&[400, 404]);
    }
}

/// A route, with its description.
pub(super) struct Route {
    pub path: &'static str,
    pub method: HttpMethod,
    pub description: Description,
    pub handler: MethodRouter<Arc<App>>,
    pub access: Option<Access>,
}

/// How a route is called in the description: group, id, and what it does.
type Named = (&'static str, &'static str, &'static str);

impl Route {
    /// `method` and `path`, answered by `handler`, open to those with `access`, or to everyone.
    pub fn new<T: 'static>(
        method: HttpMethod,
        path: &'static str,
        access: Option<Access>,
        (tag, id, summary): Named,
        handler: impl DescribedHandler<T>,
    ) -> Self {
        let filter = match method {
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Delete => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary)).build();
        let mut description = Description { operation, ..Description::default() };
        describe(&handler, &mut description);
        match access {
            None => description.operation.security = Some(vec![SecurityRequirement::default()]),
            Some(Access::Read) => description.fails(&[401]),
            Some(Access::Write) => description.fails(&[401, 403]),
        }
        Self { path, method, description, handler: on(filter, handler), access }
    }

    /// Also fails with these statuses, which come from what it does rather than from what it takes.
    pub fn fails(mut self, statuses: &[u16]) -> Self {
        self.description.fails(statuses);
        self
    }
}

fn describe<T, H: DescribedHandler<T>>(_: &H, description: &mut Description) {
    H::describe(description);
}

/// The whole description.
pub(super) fn openapi(routes: Vec<Route>) -> OpenApi {
    let (mut paths, mut components) = (PathsBuilder::new(), ComponentsBuilder::new());
    for Route { path, method, description, .. } in routes {
        paths = paths.path(path, PathItem::new(method, description.operation));
        components = components.schemas_from_iter(description.schemas);
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key")));
    let license = License::new("MIT OR Apache-2.0");
    let none: [&str; 0] = [];
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Kinsight").version("1").description(Some(ABOUT)).license(Some(license)))
        .tags(Some(["search", "images", "collections", "server"].map(|name| TagBuilder::new().name(name).build())))
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new("bearer", none),
            SecurityRequirement::new("header", none),
        ]))
        .paths(paths)
        .components(Some(components.security_scheme("bearer", bearer).security_scheme("header", header).build()))
        .build()
}
