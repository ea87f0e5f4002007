//! One request and its answer, as often as it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use super::csrf::Csrf;
use super::error::{ApiError, chain};
use super::forbidden::Forbidden;
use super::retry::{Ended, Repeat, Retry};
use super::settings::{ApiSettings, Credentials};
use super::tls;
use super::version::ServerVersion;
use crate::runtime;

/// The server takes another form for a Prefect of long ago.
const USER_AGENT: &str = "prefect/3.8.8 (API 0.8.4)";

/// How many requests that write are on their way at once. SQLite refuses a
/// second one; Prefect Cloud does not mind.
const WRITERS: usize = 1;
const CLOUD_WRITERS: usize = 8;

const NOTHING: Option<&()> = None;

/// A connection to one Prefect server.
///
/// Cheap to clone. A request that has begun is finished even if its future is
/// dropped.
#[derive(Clone, Debug)]
pub(crate) struct ApiClient(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    settings: ApiSettings,
    tls: rustls::ClientConfig,
    http: Client,
    csrf: tokio::sync::Mutex<Csrf>,
    forbidden: Mutex<Forbidden>,
    writers: Semaphore,
    /// Whether there has ever been an answer. Before, nobody waits for a
    /// server that refuses to be spoken to: its address may be wrong.
    is_known: AtomicBool,
    version: OnceCell<ServerVersion>,
}

impl ApiClient {
    /// The connection that this process's settings name; `None` if they name
    /// none.
    ///
    /// # Errors
    ///
    /// If the settings are wrong.
    pub(crate) fn of_process() -> Result<Option<Self>, ApiError> {
        static CLIENT: OnceLock<Result<Option<ApiClient>, ApiError>> = OnceLock::new();
        let client = CLIENT.get_or_init(|| match ApiSettings::of_process()? {
            Some(settings) => Self::new(settings).map(Some),
            None => Ok(None),
        });
        client.clone()
    }

    /// A connection with settings of its own. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If certificates cannot be read.
    pub(crate) fn new(settings: ApiSettings) -> Result<Self, ApiError> {
        let tls = tls::configuration(&settings)?;
        let http = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .default_headers(headers(&settings))
            .user_agent(USER_AGENT)
            .timeout(settings.timeout)
            .build()
            .map_err(|error| ApiError::Tls {
                what: "the HTTP client cannot be set up",
                cause: chain(error),
            })?;
        let writers = if settings.is_cloud {
            CLOUD_WRITERS
        } else {
            WRITERS
        };
        Ok(Self(Arc::new(Connection {
            csrf: tokio::sync::Mutex::new(Csrf::new(settings.csrf)),
            settings,
            tls,
            http,
            forbidden: Mutex::default(),
            writers: Semaphore::new(writers),
            is_known: AtomicBool::new(false),
            version: OnceCell::new(),
        })))
    }

    pub(crate) fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    /// Whether the server has ever answered.
    pub(crate) fn was_answered(&self) -> bool {
        self.0.is_known.load(Ordering::Relaxed)
    }

    pub(super) fn tls(&self) -> rustls::ClientConfig {
        self.0.tls.clone()
    }

    /// Asks for something.
    pub(crate) async fn get<T>(&self, path: &str) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.request(Method::GET, path, NOTHING, Repeat::Safe).await
    }

    /// Asks for something that takes a body to say, such as a filter.
    pub(crate) async fn ask<T>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let request = Request::new(Method::POST, path, Some(body), Repeat::Safe)?;
        self.run(Request {
            writes: false,
            ..request
        })
        .await
    }

    /// Makes or changes something, in a way that may be said twice.
    pub(crate) async fn post<T>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.request(Method::POST, path, Some(body), Repeat::Safe)
            .await
    }

    /// Makes something that would be there twice if it were said twice. If the
    /// answer gets lost, the error [is doubtful](ApiError::is_doubtful).
    pub(crate) async fn post_once<T>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.request(Method::POST, path, Some(body), Repeat::UnlessHandled)
            .await
    }

    /// Changes something.
    pub(crate) async fn patch(&self, path: &str, body: &impl Serialize) -> Result<(), ApiError> {
        let done: Option<Value> = self
            .request(Method::PATCH, path, Some(body), Repeat::Safe)
            .await?;
        drop(done);
        Ok(())
    }

    /// Removes something; that it was not there is no error.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        let done = self.request::<Option<Value>>(Method::DELETE, path, NOTHING, Repeat::Safe);
        match done.await {
            Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The server's version, asked for once.
    pub(crate) async fn version(&self) -> Result<ServerVersion, ApiError> {
        if self.settings().is_cloud {
            return Ok(ServerVersion::CLOUD);
        }
        let version = self.0.version.get_or_try_init(|| async {
            let text: String = self.get("/admin/version").await?;
            ServerVersion::parse(&text).ok_or_else(|| ApiError::NotUnderstood {
                request: "GET /admin/version".to_owned(),
                cause: format!("`{text}` is no version"),
            })
        });
        version.await.copied()
    }

    async fn request<T>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        repeat: Repeat,
    ) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.run(Request::new(method, path, body, repeat)?).await
    }

    /// On the service runtime, so that it can be awaited anywhere.
    async fn run<T>(&self, request: Request) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let connection = Arc::clone(&self.0);
        let answer = runtime::process_service().spawn(async move {
            let text = connection.send(&request).await?;
            let text = if text.is_empty() { "null" } else { &text };
            serde_json::from_str(text).map_err(|error| ApiError::NotUnderstood {
                request: request.name(),
                cause: error.to_string(),
            })
        });
        match answer.await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(error) => Err(ApiError::NoAnswer {
                    request: "a request".to_owned(),
                    url: self.settings().shown_url(),
                    cause: error.to_string(),
                }),
            },
        }
    }
}

/// What every request says.
fn headers(settings: &ApiSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in &settings.headers {
        // Checked where the setting was read.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(text.expose())) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    if let Some(mut value) = authorization(settings) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    headers.insert("x-flowcore-version", version);
    headers
}

/// The header with the credentials.
pub(super) fn authorization(settings: &ApiSettings) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = match &settings.credentials {
        Credentials::None => return None,
        Credentials::AuthString(secret) => {
            let text = base64::engine::general_purpose::STANDARD.encode(secret.expose());
            format!("Basic {text}")
        }
        Credentials::Key(secret) => format!("Bearer {}", secret.expose()),
    };
    HeaderValue::from_str(&text).ok()
}

struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
    repeat: Repeat,
    /// Whether it changes something on the server.
    writes: bool,
}

impl Request {
    fn new(
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        repeat: Repeat,
    ) -> Result<Self, ApiError> {
        let body = body.map(serde_json::to_value).transpose();
        let body = body.map_err(|error| ApiError::NotUnderstood {
            request: format!("{method} {path}"),
            cause: format!("its body is no JSON: {error}"),
        })?;
        Ok(Self {
            writes: method != Method::GET,
            method,
            path: path.to_owned(),
            body,
            repeat,
        })
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Connection {
    /// The text of a good answer.
    async fn send(&self, request: &Request) -> Result<String, ApiError> {
        let mut retry = Retry {
            limit: self.settings.retries,
            jitter: self.settings.jitter,
            also: &self.settings.retried,
            repeat: request.repeat,
            made: 0,
        };
        let mut has_new_token = false;
        loop {
            let (ended, error) = match self.attempt(request).await {
                Ok(text) => return Ok(text),
                Err(failed) => failed,
            };
            if let ApiError::Refused {
                status: 403,
                detail,
                ..
            } = &error
                && detail.contains("CSRF")
                && !has_new_token
            {
                has_new_token = true;
                self.csrf.lock().await.forget();
                continue;
            }
            let Some(wait) = retry.next(ended, random()) else {
                return Err(error);
            };
            tracing::debug!(target: "flowcore::prefect", "{error}: again in {wait:?}");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request, without what this server is known to refuse, and once
    /// more without what it then refuses.
    async fn attempt(&self, request: &Request) -> Result<String, (Ended, ApiError)> {
        // Questions with a body, too: the server tells by the method.
        let wants_token = request.method != Method::GET && self.settings.csrf;
        let token = if wants_token {
            self.token().await?
        } else {
            None
        };
        let mut body = request.body.clone();
        if let Some(body) = &mut body {
            self.forbidden.lock().strip(&request.path, body);
        }
        loop {
            let mut builder = self
                .http
                .request(request.method.clone(), self.settings.at(&request.path));
            if let Some(body) = &body {
                builder = builder.json(body);
            }
            if let Some((token, client)) = &token {
                builder = builder.header("prefect-csrf-token", token);
                builder = builder.header("prefect-csrf-client", client);
            }
            let _turn = if request.writes {
                self.writers.acquire().await.ok()
            } else {
                None
            };
            let answer = self.answer(request, builder).await?;
            match answer {
                Answer::Good(text) => return Ok(text),
                Answer::Bad(ended, text) => {
                    if let Ended::Status { status: 422, .. } = ended
                        && let Some(body) = &mut body
                        && self.forbidden.lock().learn(&request.path, &text, body)
                    {
                        continue;
                    }
                    let (status, after) = match ended {
                        Ended::Status { status, after, .. } => (status, after),
                        _ => (0, None),
                    };
                    return Err((
                        ended,
                        ApiError::of_status(request.name(), status, &text, after),
                    ));
                }
            }
        }
    }

    async fn token(&self) -> Result<Option<(String, String)>, (Ended, ApiError)> {
        let mut csrf = self.csrf.lock().await;
        if let Some(path) = csrf.path(jiff::Timestamp::now()) {
            let request = Request {
                method: Method::GET,
                path,
                body: None,
                repeat: Repeat::Safe,
                writes: false,
            };
            let builder = self.http.get(self.settings.at(&request.path));
            match self.answer(&request, builder).await? {
                Answer::Good(text) => csrf.answered(&text),
                Answer::Bad(
                    Ended::Status {
                        status: 404 | 422, ..
                    },
                    _,
                ) => csrf.is_off(),
                Answer::Bad(ended, text) => {
                    let (status, after) = match ended {
                        Ended::Status { status, after, .. } => (status, after),
                        _ => (0, None),
                    };
                    return Err((
                        ended,
                        ApiError::of_status(request.name(), status, &text, after),
                    ));
                }
            }
        }
        Ok(csrf.headers())
    }

    async fn answer(
        &self,
        request: &Request,
        builder: reqwest::RequestBuilder,
    ) -> Result<Answer, (Ended, ApiError)> {
        let no_answer = |error| {
            let error = ApiError::NoAnswer {
                request: request.name(),
                url: self.settings.shown_url(),
                cause: chain(error),
            };
            (Ended::NoAnswer, error)
        };
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                let ended = if self.is_known.load(Ordering::Relaxed) {
                    Ended::NotSent
                } else {
                    Ended::NeverSent
                };
                let url = self.settings.shown_url();
                let cause = chain(error);
                return Err((ended, ApiError::unreached(url, cause)));
            }
            Err(error) => return Err(no_answer(error)),
        };
        self.is_known.store(true, Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Good(response.text().await.map_err(no_answer)?));
        }
        let ended = Ended::Status {
            status: status.as_u16(),
            after: retry_after(&response),
            is_maintenance: response
                .headers()
                .get("prefect-maintenance")
                .is_some_and(|value| value == "true"),
        };
        // What it says of its no may be lost, the no is not.
        Ok(Answer::Bad(
            ended,
            response.text().await.unwrap_or_default(),
        ))
    }
}

enum Answer {
    Good(String),
    Bad(Ended, String),
}

/// Seconds, also with a fraction.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

/// A number from 0 to 1.
fn random() -> f64 {
    let (low, _) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "any number from 0 to 1 does")]
    let share = (low >> 11) as f64 / (1_u64 << 53) as f64;
    share
}
