//! Values that are not to be shown.

use super::layer::Item;

/// Parts of names that mean a secret, in lower case.
const WORDS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "fernet_key",
    "api_key",
    "private_key",
];
/// Variables of Airflow that hold addresses with passwords in them.
const ADDRESSES: [&str; 4] = [
    "sql_alchemy_conn",
    "airflow_conn_",
    "broker_url",
    "result_backend",
];

/// The value as it may be shown: of `NAME=VALUE` with a name like a password's, only the name.
pub fn masked(item: &Item) -> String {
    match item.text.split_once('=') {
        Some((name, value)) if is_secret(name) && !value.is_empty() => format!("{name}=***"),
        _ => item.text.clone(),
    }
}

/// Whether a variable or label of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS
        .iter()
        .chain(&ADDRESSES)
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_like_a_password_s_are_secret() {
        for name in [
            "DB_PASSWORD",
            "token",
            "AIRFLOW__CORE__FERNET_KEY",
            "AIRFLOW_CONN_DB",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["HOME", "PATH", "KEYBOARD", "AIRFLOW_HOME"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
