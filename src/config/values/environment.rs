//! Pairs of a name and a value: variables, labels, kernel parameters; and host names.

use std::str::FromStr;

use serde::Serialize;

use super::{Invalid, split_pair};

/// `NAME=VALUE`, or a bare `NAME` that takes its value from our own environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Not empty, without `=` and NUL.
    pub name: String,
    /// `None` for a bare name.
    pub value: Option<String>,
}

impl FromStr for Variable {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, value) = split_pair(text);
        if name.is_empty() {
            return Err(Invalid::new("the variable has no name"));
        }
        if text.contains('\0') {
            return Err(Invalid::new("a variable cannot contain a NUL byte"));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        })
    }
}

/// A label of the container record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Not empty.
    pub name: String,
    /// Empty for a bare name.
    pub value: String,
}

/// containerd's limit on key and value together (containerd, `labels/validate.go`).
const MAX_LABEL: usize = 4096;

impl FromStr for Label {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, value) = split_pair(text);
        let value = value.unwrap_or_default();
        if name.is_empty() {
            return Err(Invalid::new("the label has no name"));
        }
        if name.len() + value.len() > MAX_LABEL {
            return Err(Invalid::new(
                "name and value together are longer than containerd's 4096 bytes",
            ));
        }
        if ["containerd.io/", "airtight."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            return Err(Invalid::new(
                "labels beginning with containerd.io/ or airtight. have a meaning of their own",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// A kernel parameter, as `name=value`; which ones a container may set is the runtime's to say.
pub fn sysctl(text: &str) -> Result<(String, String), Invalid> {
    let (name, Some(value)) = split_pair(text) else {
        return Err(Invalid::new(
            "NAME=VALUE is needed, such as net.core.somaxconn=1024",
        ));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if name.is_empty() || !name.chars().all(plain) || name.contains("..") {
        return Err(Invalid::new(format!(
            "{name:?} is no name of a kernel parameter"
        )));
    }
    Ok((name.replace('/', "."), value.to_owned()))
}

/// The kernel's longest host name (`__NEW_UTS_LEN`, linux/utsname.h).
const MAX_HOSTNAME: usize = 64;

/// A host name: labels of letters, digits, `-` and `_`, joined by dots.
pub fn hostname(text: &str) -> Result<String, Invalid> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if text.len() > MAX_HOSTNAME {
        return Err(Invalid::new("it is longer than the kernel's 64 characters"));
    }
    if !text.split('.').all(label) {
        return Err(Invalid::new(
            "only letters, digits and '-', in parts joined by '.'",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_everything_behind_the_first_equals_sign() {
        let variable: Variable = "A=b=c\n\"d\"".parse().unwrap();
        assert_eq!(variable.value.as_deref(), Some("b=c\n\"d\""));
        assert_eq!("A".parse::<Variable>().unwrap().value, None);
        assert_eq!("A=".parse::<Variable>().unwrap().value.as_deref(), Some(""));
        for bad in ["", "=x", "A=\0"] {
            assert!(bad.parse::<Variable>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_label_fits_containerd_and_is_not_one_of_its_own() {
        assert!("app=x".parse::<Label>().is_ok());
        assert!(format!("a={}", "x".repeat(4096)).parse::<Label>().is_err());
        for reserved in [
            "containerd.io/restart.loguri=binary:///x",
            "containerd.io/gc.root",
            "airtight.record=x",
        ] {
            assert!(reserved.parse::<Label>().is_err(), "{reserved}");
        }
    }

    #[test]
    fn a_host_name_is_what_the_kernel_takes() {
        for good in ["a", "worker-1.example.org", "x_y"] {
            assert!(hostname(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a..b", "a b", "ü", &"x".repeat(65)] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kernel_parameter_has_a_name_without_dot_dot() {
        assert_eq!(
            sysctl("net/core/x=1").unwrap(),
            ("net.core.x".into(), "1".into())
        );
        for bad in ["a", "=1", "a..b=1", "a b=1"] {
            assert!(sysctl(bad).is_err(), "{bad}");
        }
    }
}
