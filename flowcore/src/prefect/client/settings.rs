//! Where the server is, and how it is spoken to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::secret::Secret;
use crate::settings::{self, Chain, SettingError};

const CLOUD: &str = "https://api.prefect.cloud/api";

/// Settings of the connection, from Prefect's own.
#[derive(Clone)]
pub(crate) struct ApiSettings {
    /// `PREFECT_API_URL`, without a slash at its end.
    pub(crate) url: Url,
    pub(crate) credentials: Credentials,
    /// `PREFECT_CLIENT_CUSTOM_HEADERS`; values may be secrets.
    pub(crate) headers: BTreeMap<String, Secret>,
    /// `PREFECT_API_REQUEST_TIMEOUT`
    pub(crate) timeout: Duration,
    /// `PREFECT_CLIENT_MAX_RETRIES`
    pub(crate) retries: u32,
    /// `PREFECT_CLIENT_RETRY_JITTER_FACTOR`
    pub(crate) jitter: f64,
    /// `PREFECT_CLIENT_RETRY_EXTRA_CODES`
    pub(crate) retried: Vec<u16>,
    /// `PREFECT_CLIENT_CSRF_SUPPORT_ENABLED`
    pub(crate) csrf: bool,
    /// `PREFECT_API_TLS_INSECURE_SKIP_VERIFY`
    pub(crate) insecure: bool,
    /// `PREFECT_API_SSL_CERT_FILE`: certificates beside the system's.
    pub(crate) certificates: Option<PathBuf>,
    /// Whether this is Prefect Cloud, which has no versions and no CSRF.
    pub(crate) is_cloud: bool,
    /// `PREFECT_UI_URL`, or what follows from the API's address.
    ui: Option<Url>,
}

/// What shows who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    None,
    /// `PREFECT_API_AUTH_STRING`: `user:password`, of a server of one's own.
    AuthString(Secret),
    /// `PREFECT_API_KEY`, of Prefect Cloud.
    Key(Secret),
}

impl ApiSettings {
    /// The settings of this process; `None` if no server is named.
    pub(crate) fn of_process() -> Result<Option<Self>, SettingError> {
        Self::read(settings::of_process())
    }

    pub(crate) fn read(chain: &Chain) -> Result<Option<Self>, SettingError> {
        let Some(address) = chain.get("PREFECT_API_URL") else {
            return Ok(None);
        };
        let wanted = "an address such as `http://127.0.0.1:4200/api`";
        let url: Url = address
            .text
            .trim_end_matches('/')
            .parse()
            .map_err(|_| address.is_not(wanted))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(address.is_not(wanted));
        }
        let cloud = chain.get("PREFECT_CLOUD_API_URL");
        let cloud = cloud.map_or_else(|| CLOUD.to_owned(), |setting| setting.text);
        let is_cloud = address.text.starts_with(cloud.trim_end_matches('/'));
        let ui = match chain.get("PREFECT_UI_URL") {
            Some(setting) => Some(
                setting
                    .text
                    .parse()
                    .map_err(|_| setting.is_not("an address"))?,
            ),
            None => ui_of(&url, is_cloud),
        };
        Ok(Some(Self {
            credentials: credentials(chain),
            headers: headers(chain)?,
            timeout: chain.seconds("PREFECT_API_REQUEST_TIMEOUT", Duration::from_mins(1))?,
            retries: chain.count("PREFECT_CLIENT_MAX_RETRIES", 5)?,
            jitter: chain
                .seconds(
                    "PREFECT_CLIENT_RETRY_JITTER_FACTOR",
                    Duration::from_millis(200),
                )?
                .as_secs_f64(),
            retried: retried(chain)?,
            csrf: !is_cloud && chain.flag("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", true)?,
            insecure: chain.flag("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", false)?,
            certificates: chain
                .get("PREFECT_API_SSL_CERT_FILE")
                .map(|setting| settings::expanded(PathBuf::from(setting.text))),
            is_cloud,
            ui,
            url,
        }))
    }

    /// The address of a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }

    /// The address of a page of the user interface, whose path begins with a
    /// slash; `None` if nobody knows where that is.
    pub(crate) fn page(&self, path: &str) -> Option<String> {
        let mut ui = self.ui.clone()?;
        // An address that is printed; both fail for those that have neither.
        let _ = ui.set_password(None);
        let _ = ui.set_username("");
        Some(format!("{}{path}", ui.as_str().trim_end_matches('/')))
    }

    /// The address of a WebSocket.
    pub(crate) fn socket_at(&self, path: &str) -> String {
        // Both schemes have an `s` more for the encrypted form.
        self.at(path).replacen("http", "ws", 1)
    }

    /// The address as messages show it: without a user and a password.
    pub(crate) fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        // Both fail for addresses that have neither.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.to_string()
    }

    /// Texts that must not leave this process as part of others.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let credentials = match &self.credentials {
            Credentials::None => None,
            Credentials::AuthString(secret) | Credentials::Key(secret) => Some(secret),
        };
        credentials.into_iter().chain(self.headers.values())
    }
}

/// The address may hold a password.
impl fmt::Debug for ApiSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiSettings")
            .field("url", &self.shown_url())
            .field("credentials", &self.credentials)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// The auth string goes before the key, as in Prefect.
fn credentials(chain: &Chain) -> Credentials {
    if let Some(setting) =
        chain.first_of(&["PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"])
    {
        return Credentials::AuthString(Secret::new(setting.text));
    }
    match chain.get("PREFECT_API_KEY") {
        Some(setting) => Credentials::Key(Secret::new(setting.text)),
        None => Credentials::None,
    }
}

fn headers(chain: &Chain) -> Result<BTreeMap<String, Secret>, SettingError> {
    /// Not theirs to say: the server draws conclusions from them.
    const OURS: [&str; 3] = ["user-agent", "prefect-csrf-token", "prefect-csrf-client"];
    let Some(setting) = chain.get("PREFECT_CLIENT_CUSTOM_HEADERS") else {
        return Ok(BTreeMap::new());
    };
    let wanted = "a JSON object of names and texts of HTTP headers";
    let mut headers: BTreeMap<String, String> =
        serde_json::from_str(&setting.text).map_err(|_| setting.is_not(wanted))?;
    headers.retain(|name, _| {
        let is_theirs = !OURS.contains(&name.to_ascii_lowercase().as_str());
        if !is_theirs {
            tracing::warn!(
                "PREFECT_CLIENT_CUSTOM_HEADERS: `{name}` cannot be replaced: it does not count"
            );
        }
        is_theirs
    });
    let is_header = |(name, text): (&String, &String)| {
        reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && reqwest::header::HeaderValue::from_str(text).is_ok()
    };
    if !headers.iter().all(is_header) {
        return Err(setting.is_not(wanted));
    }
    let secret = |(name, text)| (name, Secret::new(text));
    Ok(headers.into_iter().map(secret).collect())
}

/// A list of status codes: JSON, or numbers with commas between.
fn retried(chain: &Chain) -> Result<Vec<u16>, SettingError> {
    let Some(setting) = chain.get("PREFECT_CLIENT_RETRY_EXTRA_CODES") else {
        return Ok(Vec::new());
    };
    let numbers = setting
        .text
        .trim_start_matches('[')
        .trim_end_matches(']')
        .split(',');
    let codes: Result<Vec<u16>, _> = numbers.map(|number| number.trim().parse()).collect();
    match codes {
        Ok(codes) if codes.iter().all(|code| (100..600).contains(code)) => Ok(codes),
        _ => Err(setting.is_not("a list of HTTP status codes such as `500,504`")),
    }
}

/// The user interface of a server stands beside its API.
fn ui_of(url: &Url, is_cloud: bool) -> Option<Url> {
    let text = url.as_str();
    if is_cloud {
        let app = text.replacen(
            "api.prefect.cloud/api/accounts",
            "app.prefect.cloud/account",
            1,
        );
        return app.replacen("/workspaces/", "/workspace/", 1).parse().ok();
    }
    text.strip_suffix("/api")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<ApiSettings>, SettingError> {
        let variables = variables.iter();
        let variables = variables.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        ApiSettings::read(&Chain::read(variables, None, None))
    }

    const URL: (&str, &str) = ("PREFECT_API_URL", "http://host:4200/api/");

    #[test]
    fn no_address_is_no_server() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("PREFECT_API_URL", " ")]).unwrap().is_none());
    }

    #[test]
    fn defaults_are_prefects() {
        let settings = read(&[URL]).unwrap().unwrap();
        assert_eq!(settings.at("/flows/"), "http://host:4200/api/flows/");
        assert_eq!(
            settings.socket_at("/events/in"),
            "ws://host:4200/api/events/in"
        );
        let page = settings.page("/runs/flow-run/1").unwrap();
        assert_eq!(page, "http://host:4200/runs/flow-run/1");
        assert_eq!((settings.timeout.as_secs(), settings.retries), (60, 5));
        assert!(settings.csrf && !settings.insecure && !settings.is_cloud);
    }

    #[test]
    fn cloud_is_known_by_its_address() {
        let address = "https://api.prefect.cloud/api/accounts/a/workspaces/w";
        let settings = read(&[("PREFECT_API_URL", address)]).unwrap().unwrap();
        assert!(settings.is_cloud && !settings.csrf);
        let page = "https://app.prefect.cloud/account/a/workspace/w/runs/flow-run/1";
        assert_eq!(settings.page("/runs/flow-run/1").unwrap(), page);
        assert!(settings.url.as_str().starts_with("https"));
    }

    #[test]
    fn pages_are_where_a_setting_says_or_nowhere() {
        let page = |variables: &[_]| read(variables).unwrap().unwrap().page("/runs");
        let ui = ("PREFECT_UI_URL", "https://me:hidden@ui.host/prefect/");
        assert_eq!(page(&[URL, ui]).unwrap(), "https://ui.host/prefect/runs");
        assert_eq!(page(&[("PREFECT_API_URL", "http://host/prefect")]), None);
    }

    #[test]
    fn wrong_texts_are_named_with_their_place_but_not_shown() {
        for (name, text) in [
            ("PREFECT_API_URL", "user:secret@host"),
            ("PREFECT_API_REQUEST_TIMEOUT", "secret"),
            ("PREFECT_CLIENT_MAX_RETRIES", "-1"),
            ("PREFECT_CLIENT_CUSTOM_HEADERS", "{\"a b\": \"secret\"}"),
            ("PREFECT_CLIENT_CUSTOM_HEADERS", "secret"),
            ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "50"),
            ("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "perhaps"),
        ] {
            let error = read(&[URL, (name, text)])
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("{name} (from the environment)")),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn nothing_prints_a_secret() {
        let settings = read(&[
            ("PREFECT_API_URL", "http://me:hidden@host/api"),
            ("PREFECT_API_KEY", "hidden"),
            (
                "PREFECT_CLIENT_CUSTOM_HEADERS",
                "{\"x\": \"hidden\", \"User-Agent\": \"no\"}",
            ),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers.keys().collect::<Vec<_>>(), ["x"]);
        assert_eq!(settings.shown_url(), "http://host/api");
        let printed = format!("{settings:?}");
        assert!(!printed.contains("hidden"), "{printed}");
        assert_eq!(settings.secrets().count(), 2);
    }
}
