//! From a request to its route.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::cors;
use super::own::{WellKnown, well_known};
use super::routes::HostRoutes;
use super::tree::{Found, Numbered};
use super::{Meant, Methods, OwnEndpoint, ProtectedResource, Route, Routed, Routes};
use crate::identity::{Name, PathParams};
use crate::request::{CanonicalPath, Host, PathForms, Received};

/// Where a request leads.
#[derive(Debug)]
pub enum Resolved {
    /// To a route.
    Route(Routed),
    /// To the gateway itself.
    Own(OwnEndpoint),
}

/// Why a request leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No route is configured for this host and path. 404.
    #[error("no route is configured for this host and path")]
    Unknown,
    /// The path is known, the method is not one of it. 405, or as for an unknown path when the route conceals itself.
    #[error("the route `{route}` does not have this method")]
    Method {
        /// The value of `Allow`.
        allow: HeaderValue,
        /// The route, or one of several.
        route: Name,
        /// Whether a route of this path conceals itself.
        conceal: bool,
    },
    /// The connection was opened for a host of another certificate profile. 421.
    #[error("the connection was opened for a host of another certificate profile")]
    Misdirected,
    /// The path has a form that no route admits for it by name. 400, whether there is a route or not.
    #[error("the path has a form that has to be admitted by name")]
    Path {
        /// The forms that the path has.
        forms: PathForms,
        /// The route that it would lead to.
        route: Option<Name>,
    },
    /// A field that chooses the route says two things. 400.
    #[error("the field `{0}`, which chooses the route, occurs with different values")]
    Header(HeaderName),
}

impl Routes {
    /// Finds where a request leads.
    pub fn resolve(&self, mut request: Received) -> Result<Resolved, RouteError> {
        if !request.connection().serves(request.host().as_str()) {
            return Err(RouteError::Misdirected);
        }
        if let Some(endpoint) = self.own(&request)?.or_else(|| self.preflight(&request)) {
            return Ok(Resolved::Own(endpoint));
        }
        let meant = self.find(request.host(), request.path(), request.method(), request.headers())?;
        let Meant { route, params, rewritten } = meant;
        if let Some(path) = rewritten {
            let forms = path.forms();
            request.rewrite(path).map_err(|_| RouteError::Path { forms, route: Some(route.name.clone()) })?;
        }
        Ok(Resolved::Route(Routed { request, route, params }))
    }

    /// The route for a host, a path, a method and header fields, what its pattern matched and what becomes of the path.
    pub fn find(
        &self,
        host: &Host,
        path: &CanonicalPath,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Meant, RouteError> {
        let forms = path.forms();
        let unknown = || match forms {
            PathForms::NONE => RouteError::Unknown,
            _ => RouteError::Path { forms, route: None },
        };
        let found = self.hosts.find(host).and_then(|host| host.paths.find(path)).ok_or_else(unknown)?;
        let Found { routes, values } = found;
        let mut conditions = routes.iter().flat_map(|(_, route)| &route.headers);
        if let Some(condition) = conditions.find(|condition| condition.is_contradicted(headers)) {
            return Err(RouteError::Header(condition.name.clone()));
        }
        let mut meant = routes.iter().filter(|(_, route)| is_meant(route, headers)).peekable();
        let (_, nearest) = meant.peek().copied().ok_or_else(unknown)?;
        let Some((_, route)) = meant.find(|(_, route)| route.methods.contains(method)) else {
            return Err(match nearest.admits.admit(forms) {
                true => wrong_method(routes, headers, nearest),
                false => RouteError::Path { forms, route: Some(nearest.name.clone()) },
            });
        };
        let ambiguous = |forms| RouteError::Path { forms, route: Some(route.name.clone()) };
        if !route.admits.admit(forms) {
            return Err(ambiguous(forms));
        }
        let rewritten = match &route.prefix_rewrite {
            None => None,
            Some(rewrite) => Some(rewrite.apply(path).map_err(|_| ambiguous(forms))?),
        };
        if let Some(path) = rewritten.as_ref().filter(|path| !route.admits.admit(path.forms())) {
            return Err(ambiguous(path.forms()));
        }
        Ok(Meant { route: route.clone(), params: name_values(route, values), rewritten })
    }

    /// What lies under the gateway's own names is answered here or nowhere.
    fn own(&self, request: &Received) -> Result<Option<OwnEndpoint>, RouteError> {
        let path = request.path();
        if !path.as_str().starts_with("/.well-known/") && !path.as_str().contains('%') {
            return Ok(None);
        }
        let segments: Vec<_> = path.segments().take(2).collect();
        let Some(name) = well_known(segments.iter().map(|segment| Some(&**segment))) else { return Ok(None) };
        let endpoint = match name {
            WellKnown::ProtectedResource => self.protected_resource(request)?,
            WellKnown::Portcullis => self.assertion_keys(request)?,
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let route = Name::new("well-known");
            return Err(RouteError::Method { allow: HeaderValue::from_static("GET, HEAD"), route, conceal: false });
        }
        Ok(Some(endpoint))
    }

    fn assertion_keys(&self, request: &Received) -> Result<OwnEndpoint, RouteError> {
        let here = self.keys_published_on.as_ref() == Some(&request.connection().listener);
        let asked = request.path().as_str() == "/.well-known/portcullis/jwks.json";
        if here && asked { Ok(OwnEndpoint::AssertionKeys) } else { Err(RouteError::Unknown) }
    }

    fn protected_resource(&self, request: &Received) -> Result<OwnEndpoint, RouteError> {
        let path = request.path();
        let host = self.hosts.find(request.host()).ok_or(RouteError::Unknown)?;
        let resource = path.as_str().splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap_or_default();
        let tokens = host.tokens_at(&resource);
        if tokens.is_empty() || path.forms() != PathForms::NONE {
            return Err(RouteError::Unknown);
        }
        let (host, port) = (request.host().clone(), request.port());
        let resource = ProtectedResource { host, port, path: resource.into(), tokens };
        Ok(OwnEndpoint::ProtectedResource(resource))
    }

    /// The answer to a preflight, when the route that it asks about says that preflights are answered here.
    fn preflight(&self, request: &Received) -> Option<OwnEndpoint> {
        let (origin, method) = cors::asked(request.method(), request.headers())?;
        let Meant { route, .. } = self.find(request.host(), request.path(), &method, request.headers()).ok()?;
        let headers = route.cors.as_ref().filter(|_| !route.conceal)?.answer(origin, &method);
        Some(OwnEndpoint::Preflight { route, headers })
    }
}

impl HostRoutes {
    /// The token sources that count at a path, or on the whole host when it is empty.
    fn tokens_at(&self, path: &str) -> Vec<Name> {
        if path.is_empty() {
            return self.tokens.clone();
        }
        let Ok(path) = CanonicalPath::parse(path) else { return Vec::new() };
        let mut tokens: Vec<Name> = Vec::new();
        for (_, route) in self.paths.find(&path).map(|found| found.routes).unwrap_or_default() {
            if !route.conceal {
                tokens.extend(route.tokens.iter().cloned());
            }
        }
        tokens.sort();
        tokens.dedup();
        tokens
    }
}

fn is_meant(route: &Route, headers: &HeaderMap) -> bool {
    route.headers.iter().all(|condition| condition.holds(headers))
}

fn wrong_method(routes: &[Numbered], headers: &HeaderMap, nearest: &Route) -> RouteError {
    let meant = || routes.iter().map(|(_, route)| route).filter(|route| is_meant(route, headers));
    let mut allowed: Vec<&str> = meant()
        .filter_map(|route| match &route.methods {
            Methods::Any => None,
            Methods::These(methods) => Some(methods.iter().map(Method::as_str)),
        })
        .flatten()
        .collect();
    allowed.sort_unstable();
    allowed.dedup();
    RouteError::Method {
        allow: HeaderValue::try_from(allowed.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("")),
        route: nearest.name.clone(),
        conceal: meant().any(|route| route.conceal),
    }
}

fn name_values(route: &Route, values: Vec<Cow<'_, str>>) -> PathParams {
    let mut params = PathParams::default();
    for (name, value) in route.path.slots().zip(values) {
        if let Some(name) = name {
            params.push(name.clone(), value.into_owned());
        }
    }
    params
}

#[cfg(test)]
pub(super) mod tests;
