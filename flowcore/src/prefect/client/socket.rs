//! A WebSocket of a Prefect server: events in, events out. Source: `api.md`
//! 2.5.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{
    Error as SocketError, ProtocolError, SubProtocolError,
};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::error::{ApiError, chain_of};
use super::send::{ApiClient, authorization};
use super::settings::Credentials;
use crate::runtime;

const SUBPROTOCOL: &str = "prefect";

/// An open socket.
///
/// Futures of its methods can be awaited anywhere. A dropped one of
/// [`send`](Self::send) may have sent its text or not.
#[derive(Debug)]
pub(crate) struct EventSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    place: String,
}

impl EventSocket {
    /// Opens the socket at a path and shows who we are.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, refuses the credentials, or something
    /// on the way does not let sockets through.
    pub(crate) async fn connect(client: &ApiClient, path: &str) -> Result<Self, ApiError> {
        let client = client.clone();
        let path = path.to_owned();
        let limit = client.settings().timeout;
        let opened = runtime::process_service().spawn(async move {
            let place = format!("the socket {path}");
            match tokio::time::timeout(limit, Self::open(&client, &path)).await {
                Ok(opened) => opened,
                Err(_) => Err(ApiError::NoAnswer {
                    request: place,
                    url: client.settings().shown_url(),
                    cause: format!("not within {limit:?}"),
                }),
            }
        });
        match opened.await {
            Ok(opened) => opened,
            Err(error) => Err(ApiError::NotUnderstood {
                request: "opening a socket".to_owned(),
                cause: error.to_string(),
            }),
        }
    }

    async fn open(client: &ApiClient, path: &str) -> Result<Self, ApiError> {
        let is_cloud = client.settings().is_cloud;
        // Cloud's events go in without a subprotocol and come out with one.
        let asks = !(is_cloud && path.ends_with("/in"));
        let opened = match Self::handshake(client, path, asks).await {
            // 3.0 reads what it is sent at once.
            Err(SocketError::Protocol(ProtocolError::SecWebSocketSubProtocolError(
                SubProtocolError::NoSubProtocol,
            ))) => Self::handshake(client, path, false)
                .await
                .map(|(stream, _)| (stream, false)),
            opened => opened,
        };
        let place = format!("the socket {path}");
        let (stream, is_asked) = opened.map_err(|error| refused(client, &place, error))?;
        let mut socket = Self { stream, place };
        if is_asked {
            socket.authenticate(client).await?;
        }
        Ok(socket)
    }

    /// A stream, and whether the server chose our subprotocol.
    async fn handshake(
        client: &ApiClient,
        path: &str,
        asks: bool,
    ) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, bool), SocketError> {
        let settings = client.settings();
        let mut request: Request = settings.socket_at(path).into_client_request()?;
        let headers = request.headers_mut();
        for (name, text) in &settings.headers {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(text.expose())) {
                headers.insert(name, value);
            }
        }
        if let Some(value) = authorization(settings) {
            headers.insert(AUTHORIZATION, value);
        }
        if asks {
            let value = HeaderValue::from_static(SUBPROTOCOL);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        let connector = Connector::Rustls(std::sync::Arc::new(client.tls()));
        let opened =
            tokio_tungstenite::connect_async_tls_with_config(request, None, true, Some(connector));
        let (stream, response) = opened.await?;
        let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        Ok((stream, chosen.is_some_and(|chosen| chosen == SUBPROTOCOL)))
    }

    async fn authenticate(&mut self, client: &ApiClient) -> Result<(), ApiError> {
        let token = match &client.settings().credentials {
            Credentials::None => None,
            Credentials::AuthString(secret) | Credentials::Key(secret) => Some(secret.expose()),
        };
        let frame = json!({"type": "auth", "token": token});
        self.send(frame.to_string()).await?;
        let answer = self.next().await?;
        let is_welcome = answer
            .as_ref()
            .is_some_and(|answer| answer.get("type") == Some(&Value::from("auth_success")));
        if is_welcome {
            return Ok(());
        }
        Err(ApiError::of_status(
            self.place.clone(),
            401,
            "the socket was closed",
            None,
        ))
    }

    /// Sends a text. That it is gone does not say that it has arrived.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), ApiError> {
        let sent = self.stream.send(Message::text(text)).await;
        sent.map_err(|error| self.broken(&error))
    }

    /// Sends many texts, and waits once until they are gone.
    pub(crate) async fn send_all(
        &mut self,
        texts: impl IntoIterator<Item = String>,
    ) -> Result<(), ApiError> {
        for text in texts {
            let fed = self.stream.feed(Message::text(text)).await;
            fed.map_err(|error| self.broken(&error))?;
        }
        let flushed = self.stream.flush().await;
        flushed.map_err(|error| self.broken(&error))
    }

    /// The next thing that the server says; `None` if it closed the socket.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, ApiError> {
        loop {
            let message = match self.stream.next().await {
                None | Some(Ok(Message::Close(_)) | Err(SocketError::ConnectionClosed)) => {
                    return Ok(None);
                }
                Some(Err(error)) => return Err(self.broken(&error)),
                Some(Ok(message)) => message,
            };
            if let Message::Text(text) = message {
                let value = serde_json::from_str(&text);
                return value.map(Some).map_err(|error| ApiError::NotUnderstood {
                    request: self.place.clone(),
                    cause: error.to_string(),
                });
            }
        }
    }

    /// Whether the other side still answers. All that was sent before is then
    /// in the server's socket.
    pub(crate) async fn ping(&mut self, limit: Duration) -> Result<(), ApiError> {
        let pong = async {
            let sent = self.stream.send(Message::Ping(Bytes::new())).await;
            sent.map_err(|error| self.broken(&error))?;
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Pong(_))) => return Ok(()),
                    Some(Ok(Message::Close(_))) | None => {
                        return Err(self.lost("it was closed"));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(self.broken(&error)),
                }
            }
        };
        match runtime::timeout(limit, pong).await {
            Some(answered) => answered,
            None => Err(self.lost(&format!("no pong within {limit:?}"))),
        }
    }

    fn broken(&self, error: &SocketError) -> ApiError {
        self.lost(&chain_of(error))
    }

    fn lost(&self, cause: &str) -> ApiError {
        ApiError::NoAnswer {
            request: self.place.clone(),
            url: "its address".to_owned(),
            cause: cause.to_owned(),
        }
    }
}

fn refused(client: &ApiClient, place: &str, error: SocketError) -> ApiError {
    let url = client.settings().shown_url();
    match error {
        SocketError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body);
            ApiError::of_status(place.to_owned(), response.status().as_u16(), &body, None)
        }
        SocketError::Io(error) => ApiError::unreached(url, chain_of(&error)),
        error => ApiError::NoAnswer {
            request: place.to_owned(),
            url,
            cause: chain_of(&error),
        },
    }
}
