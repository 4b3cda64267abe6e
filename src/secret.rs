//! What must not be shown, and what is shown in its place.
//!
//! In: names, values, and texts with either in them. Out: the same, fit for a terminal, a log or a
//! file that others read. It only ever hides: what runs gets the real values, and never from here.

/// In place of a value.
pub const MASK: &str = "***";

/// Parts of names that mean a secret: whatever Airflow masks by default (apache-airflow 2.11.2
/// `utils/log/secrets_masker.py` and apache-airflow-core 3.3.2 `_shared/secrets_masker`,
/// `DEFAULT_SENSITIVE_FIELDS`, without those that contain another one). A proxy is one of them since
/// its address may be `user:password@host`, without a scheme.
const OF_AIRFLOW: [&str; 20] = [
    "access_key",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

/// Airflow's own settings and connections that hold secrets: `sensitive` in its `config.yml` and in
/// that of its Celery provider, and `AIRFLOW_CONN_<id>`. Which of them contain no password cannot be
/// told from outside: a connection may be JSON.
const SETTINGS_OF_AIRFLOW: [&str; 10] = [
    "airflow_conn_",
    "asset_manager_kwargs",
    "backend_kwargs",
    "broker_url",
    "dataset_manager_kwargs",
    "remote_task_handler_kwargs",
    "result_backend",
    "sentinel_kwargs",
    "sql_alchemy_conn",
    "sql_alchemy_engine_args",
];

/// What others call theirs: GOOGLE_APPLICATION_CREDENTIALS (which may be the file's content),
/// CONN_STR, RABBITMQ_ERLANG_COOKIE, DOCKER_AUTH_CONFIG.
const OF_OTHERS: [&str; 4] = ["auth_config", "conn_str", "cookie", "credential"];

/// Last words of names: MYSQL_PWD, DB_PASS, FERNET_KEY, GITHUB_PAT, FLOWER_BASIC_AUTH. As parts they
/// would hide harmless values such as those of KEYBOARD and BYPASS_CACHE.
const LAST_WORDS: [&str; 7] = ["auth", "jwt", "key", "pass", "pat", "pw", "pwd"];

/// What a last word would hide, and everybody knows: the shell's working directory.
const HARMLESS: [&str; 1] = ["pwd"];

/// Whether a variable, label or option of this name holds a secret. As in Airflow, case does not
/// matter, and whatever joins words does the same as `_`.
pub fn is_secret(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let joined = |c: char| if word(c) { c } else { '_' };
    let name: String = name.to_lowercase().chars().map(joined).collect();
    let name = name.trim_matches('_');
    if HARMLESS.contains(&name) {
        return false;
    }
    // DB_PASS2 is as secret as DB_PASS.
    let numbered = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let last = numbered.rsplit('_').next().unwrap_or_default();
    let parts = OF_AIRFLOW.iter().chain(&SETTINGS_OF_AIRFLOW);
    LAST_WORDS.contains(&last) || parts.chain(&OF_OTHERS).any(|part| name.contains(part))
}

/// The value of `name` as it may be shown.
pub fn value(name: &str, value: &str) -> String {
    if is_secret(name) && !value.is_empty() {
        MASK.to_owned()
    } else {
        text(value)
    }
}

/// `NAME=VALUE` as it may be shown, or any other text. A value whose name somebody forgot may be
/// anything.
pub fn pair(pair: &str) -> String {
    // First of all: a URL may have a `=` of its own, in the password or behind it.
    let shown = text(pair);
    match shown.split_once('=') {
        Some(("", given)) if !given.is_empty() => format!("={MASK}"),
        Some((name, given)) => format!("{name}={}", value(name, given)),
        None => shown,
    }
}

/// `NAME=VALUE` with any value hidden. What cannot be a name is hidden as well: it may be the next
/// line of a value.
pub fn hidden(pair: &str) -> String {
    let (name, has_value) = match pair.split_once('=') {
        Some((name, _)) => (name, true),
        None => (pair, false),
    };
    let name_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = if name.chars().all(name_like) {
        name
    } else {
        MASK
    };
    if has_value {
        format!("{name}={MASK}")
    } else {
        name.to_owned()
    }
}

/// A command's argument as it may be shown: `--password=x` and `TOKEN=x` are recognised. A script is
/// left readable, and a secret that is an argument of its own is not known as one.
pub fn argument(argument: &str) -> String {
    if argument.starts_with('-') || !argument.contains(char::is_whitespace) {
        pair(argument)
    } else {
        text(argument)
    }
}

/// The text with the passwords of URLs hidden: `scheme://user:***@host`.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        shown.push_str(before);
        rest = after;
        if let Some((user, host)) = around_password(after) {
            shown.push_str(user);
            shown.push(':');
            shown.push_str(MASK);
            rest = host;
        }
    }
    shown.push_str(rest);
    shown
}

/// What is before and behind the password of a URL, from behind its scheme. Passwords that should
/// have been percent-encoded count as well, since SQLAlchemy and others take them: up to the last `@`
/// before white space.
fn around_password(url: &str) -> Option<(&str, &str)> {
    let end = url.find(char::is_whitespace).unwrap_or(url.len());
    let url_alone = url.get(..end)?;
    let (user, behind) = url_alone.split_once([':', '/', '?', '#'])?;
    if !url_alone.get(user.len()..)?.starts_with(':') || user.starts_with('[') {
        return None;
    }
    let after_number = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    if after_number.len() < behind.len() && after_number.starts_with(['/', '?', '#', ',', ';']) {
        // A port.
        return None;
    }
    let password = behind.rfind('@')?;
    let host = url.get(user.len() + 1 + password..)?;
    (password > 0).then_some((user, host))
}

#[cfg(test)]
mod tests;
