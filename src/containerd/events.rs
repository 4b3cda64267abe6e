//! containerd's stream of events. It is not replayed: what happens while nobody listens is not seen.

use containerd_client::services::v1::SubscribeRequest;
use containerd_client::types::Envelope;
use tonic::Status;

use super::{Client, Error};

impl Client {
    /// Hears the events of `namespace` from now on, one after the other, until the stream breaks: why.
    pub async fn hear(&self, namespace: &str, mut hear: impl FnMut(Envelope)) -> Error {
        let what = ("hear the events of namespace", namespace);
        let mut events = self.events();
        let request = self.request(SubscribeRequest {
            filters: vec![format!("namespace=={namespace}")],
        });
        let broken = |status: &Status| Error::refused(what, status);
        // containerd answers with the first event.
        let mut stream = match events.subscribe(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => return broken(&status),
        };
        loop {
            match stream.message().await {
                Ok(Some(event)) => hear(event),
                Ok(None) => return broken(&Status::unavailable("the stream has ended")),
                Err(status) => return broken(&status),
            }
        }
    }
}
