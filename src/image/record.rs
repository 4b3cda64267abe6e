//! Image records: giving a name to what is stored.

use containerd_client::services::v1 as api;
use prost_types::FieldMask;

use super::descriptor::Descriptor;
use crate::containerd::Client;
use crate::failure::{Failure, Kind, Result};

/// How often a name is tried that others create and delete meanwhile.
const ATTEMPTS: usize = 5;

/// Makes `name` point to `target`, whatever it pointed to before.
pub(super) async fn name(client: &Client, name: &str, target: &Descriptor) -> Result<()> {
    let image = api::Image {
        name: name.to_owned(),
        target: Some(target.message()),
        ..Default::default()
    };
    for _ in 0..ATTEMPTS {
        let message = api::CreateImageRequest {
            image: Some(image.clone()),
            ..Default::default()
        };
        let mut images = client.images();
        match client
            .call(("create image", name), message, |m| images.create(m))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        let message = api::UpdateImageRequest {
            image: Some(image.clone()),
            update_mask: Some(FieldMask {
                paths: vec!["target".to_owned()],
            }),
            ..Default::default()
        };
        match client
            .call(("update image", name), message, |m| images.update(m))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let what = format!("cannot name the image {name}");
    Err(Failure::new(Kind::Containerd, what).because("others keep creating and deleting it"))
}
