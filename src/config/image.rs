//! Which image the merged layers name.

use super::keys;
use super::layer::{Item, Merged, Origin};

/// The image that counts, and the value that names it: `image`, or AIP-46's repository and tag where a
/// higher layer names these.
pub fn final_image(merged: &Merged) -> Option<(String, &Item)> {
    let image = merged.with_layer("image");
    let repository = merged.with_layer("container_repository");
    match (image, repository) {
        (Some((layer, image)), repository)
            if repository.is_none_or(|(higher, _)| higher <= layer) =>
        {
            Some((image.text.clone(), image))
        }
        (_, Some((_, repository))) => Some((tagged(&repository.text, merged), repository)),
        (_, None) => None,
    }
}

/// The same layers with an image if they name none: for a look at what is known before one is named.
pub fn with_any_image(merged: &Merged) -> Merged {
    let mut merged = merged.clone();
    if let (None, Some(key)) = (final_image(&merged), keys::find("image")) {
        merged.settle(Item {
            key,
            text: "image".to_owned(),
            origin: Origin::Argument,
        });
    }
    merged
}

fn tagged(repository: &str, merged: &Merged) -> String {
    let tag = merged.one("container_tag");
    let tag = tag.map_or("latest", |item| item.text.as_str());
    let separator = match tag.starts_with("sha256:") {
        true => '@',
        false => ':',
    };
    format!("{repository}{separator}{tag}")
}

#[cfg(test)]
mod tests {
    use super::super::keys::find;
    use super::super::layer::{Layer, Origin, merge};
    use super::*;

    fn image(layers: &[&[(&str, &str)]]) -> Option<String> {
        let layers: Vec<Layer> = layers
            .iter()
            .map(|said| {
                let mut layer = Layer::default();
                for (name, text) in *said {
                    layer.say(find(name).unwrap(), *text, Origin::Flag);
                }
                layer
            })
            .collect();
        final_image(&merge(&layers)).map(|(image, _)| image)
    }

    #[test]
    fn repository_and_tag_may_come_from_two_layers() {
        let repository = ("container_repository", "a/b");
        assert_eq!(image(&[&[repository]]).unwrap(), "a/b:latest");
        let tagged = image(&[&[repository], &[("container_tag", "2")]]);
        assert_eq!(tagged.unwrap(), "a/b:2");
        let digest = image(&[&[repository, ("container_tag", "sha256:ab")]]);
        assert_eq!(digest.unwrap(), "a/b@sha256:ab");
        assert_eq!(image(&[&[("container_tag", "2")]]), None);
    }

    #[test]
    fn of_two_ways_to_name_it_the_higher_layer_counts_and_else_image() {
        let (repository, whole) = (("container_repository", "a"), ("image", "b:1"));
        assert_eq!(image(&[&[repository], &[whole]]).unwrap(), "b:1");
        assert_eq!(image(&[&[whole], &[repository]]).unwrap(), "a:latest");
        assert_eq!(image(&[&[whole, repository]]).unwrap(), "b:1");
    }
}
