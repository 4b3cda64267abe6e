//! Which names and texts are secret.

use super::*;
use proptest::prelude::*;

#[test]
fn names_of_secrets_are_known_in_any_case_and_spelling() {
    for name in [
        "DB_PASSWORD",
        "dbPassword",
        "token",
        "--auth-token",
        "com.example.api-key",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW_CONN_DB",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "AIRFLOW__SECRETS__BACKEND_KWARGS",
        "AIRFLOW__SENTRY__SENTRY_DSN",
        "AIRFLOW__CELERY__FLOWER_BASIC_AUTH",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_CONNECTION_STRING",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HTTPS_PROXY",
        "MYSQL_PWD",
        "SMTP_PASS",
        "DB_PASS_2",
        "DB_PASS2",
        "SSH_KEY",
        "GITHUB_PAT",
    ] {
        assert!(is_secret(name), "{name}");
    }
}

#[test]
fn what_everybody_needs_to_see_is_no_secret() {
    for name in [
        "PATH",
        "HOME",
        "PWD",
        "OLDPWD",
        "HOSTNAME",
        "LANG",
        "TZ",
        "TERM",
        "USER",
        "KEYBOARD",
        "BYPASS_CACHE",
        "COMPASS",
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "AIRFLOW_CTX_DAG_ID",
        "AWS_REGION",
        "PYTHONPATH",
        "com.example.team",
        "",
    ] {
        assert!(!is_secret(name), "{name}");
    }
}

#[test]
fn of_a_pair_the_name_stays() {
    assert_eq!(pair("DB_PASSWORD=hunter2=x"), "DB_PASSWORD=***");
    assert_eq!(pair("DB_PASSWORD="), "DB_PASSWORD=");
    assert_eq!(pair("STAGE=test"), "STAGE=test");
    assert_eq!(pair("DB=pg://me:hunter2@h/d"), "DB=pg://me:***@h/d");
    assert_eq!(pair("DB_PASSWORD"), "DB_PASSWORD");
    assert_eq!(pair("=hunter2"), "=***");
}

#[test]
fn hidden_is_every_value_and_what_cannot_be_a_name() {
    assert_eq!(hidden("STAGE=test"), "STAGE=***");
    assert_eq!(hidden("STAGE="), "STAGE=***");
    assert_eq!(hidden("STAGE"), "STAGE");
    assert_eq!(hidden("c2VjcmV0/Cg+=="), "***=***");
    assert_eq!(hidden("-----END KEY-----"), "***");
}

#[test]
fn arguments_are_hidden_where_they_name_a_secret_and_scripts_stay() {
    assert_eq!(argument("--password=a b"), "--password=***");
    assert_eq!(argument("TOKEN=x"), "TOKEN=***");
    assert_eq!(argument("--level=info"), "--level=info");
    assert_eq!(argument("key = 1; print(key)"), "key = 1; print(key)");
    assert_eq!(argument("curl http://a:b@c d"), "curl http://a:***@c d");
}

#[test]
fn the_password_of_a_url_is_hidden_and_the_rest_stays() {
    for (url, shown) in [
        (
            "postgresql+psycopg2://af:pw@db:5432/af",
            "postgresql+psycopg2://af:***@db:5432/af",
        ),
        ("redis://:pw@h/0", "redis://:***@h/0"),
        ("pg://me@example.org:pw@h/d", "pg://me@example.org:***@h/d"),
        ("pg://u:p@s/w?o#r:d@h/d", "pg://u:***@h/d"),
        ("pg://u:123@h", "pg://u:***@h"),
        (
            "redis://h:6379,redis://u:pw@h:6379",
            "redis://h:6379,redis://u:***@h:6379",
        ),
        (
            "see http://p/?u=http://u:pw@h now",
            "see http://p/?u=http://u:***@h now",
        ),
    ] {
        assert_eq!(text(url), shown);
    }
}

#[test]
fn an_equals_sign_in_a_url_does_not_show_its_password() {
    for (given, shown) in [
        ("pg://u:pw@h/d?ssl=on", "pg://u:***@h/d?ssl=on"),
        ("pg://u:p=w@h/d", "pg://u:***@h/d"),
        ("DB=pg://u:p=w@h/d", "DB=pg://u:***@h/d"),
        ("https://h/?token=x", "https://h/?token=***"),
    ] {
        assert_eq!(pair(given), shown);
        assert_eq!(argument(given), shown);
    }
}

#[test]
fn a_url_without_a_password_stays_as_it_is() {
    for url in [
        "http://h:8080/a@b?c=d:e@f",
        "http://[::1]:80/x@y",
        "ssh://git@h:22/x",
        "https://h/a:b@c",
        "unix:///run/c.sock",
        "redis://:@h",
        "redis://u:@h",
        "user:pw@host",
        "://",
    ] {
        assert_eq!(text(url), url);
    }
}

proptest! {
    #[test]
    fn no_password_of_a_url_is_ever_shown(
        before in "(?s).{0,20}",
        user in "[a-z@]{0,5}",
        // A number and a slash would be a port and a path.
        password in "[a-zäß:/?#@!=]{0,10}QQQ[a-z:/?#@!=]{0,10}",
    ) {
        let given = format!("{before} db://{user}:{password}@host?a=b");
        for shown in [text(&given), pair(&given), argument(&given)] {
            prop_assert!(!shown.contains("QQQ"), "{}", shown);
        }
    }

    #[test]
    fn any_text_can_be_shown(given in "(?s).{0,60}") {
        text(&given);
        pair(&given);
        hidden(&given);
        argument(&given);
    }
}
