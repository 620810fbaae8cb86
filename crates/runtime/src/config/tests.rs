use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn reader(file: &str, environment: &[(&str, &str)]) -> Reader {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Reader::new("TEST", Some(file), environment).expect("TOML")
}

/// Reads one setting of every form.
fn read_all(reader: &mut Reader) -> String {
    let text = reader.text("name", "n", "A name.");
    let list = reader.list("names", &["a"], "Names.");
    let number = reader.number("limits.calls", 10, 1..=100, "Calls.");
    let bytes = reader.bytes("limits.size", 65_536, 1..=1 << 20, "A size.");
    let span = reader.duration("limits.wait", 10 * SECOND, SECOND..=60 * SECOND, "A wait.");
    let flag = reader.flag("on", false, "Whether.");
    let word = reader.choice("colour", "red", &["red", "blue"], "A colour.");
    let address = reader.address("listen", "127.0.0.1:1", "Where.");
    format!("{text} {list:?} {number} {bytes} {span:?} {flag} {word} {address}")
}

#[track_caller]
fn check(file: &str, environment: &[(&str, &str)], expected: &str) {
    let mut reader = reader(file, environment);
    assert_eq!(read_all(&mut reader), expected);
    reader.finish().expect("good");
}

#[track_caller]
fn check_mistakes(file: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let mut reader = reader(file, environment);
    read_all(&mut reader);
    let mistakes = reader.finish().expect_err("mistakes").0;
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for part in expected {
        assert!(mistakes.iter().any(|mistake| mistake.contains(part)), "{part} is not in {mistakes:#?}");
    }
}

#[test]
fn the_environment_is_above_the_file_and_the_file_above_the_defaults() {
    check("", &[], r#"n ["a"] 10 65536 10s false red 127.0.0.1:1"#);
    let file =
        "name = \"f\"\nnames = [\"x\", \"y\"]\non = true\n[limits]\ncalls = 20\nsize = \"64 KiB\"\nwait = \"1m\"";
    check(file, &[], r#"f ["x", "y"] 20 65536 60s true red 127.0.0.1:1"#);
    let environment = [
        ("TEST_NAME", "e"),
        ("TEST_NAMES", "p, q"),
        ("TEST_LIMITS_CALLS", "30"),
        ("TEST_LIMITS_SIZE", "1 MiB"),
        ("TEST_LIMITS_WAIT", "1500ms"),
        ("TEST_ON", "false"),
        ("TEST_COLOUR", "blue"),
        ("TEST_LISTEN", "[::1]:0"),
        ("OTHER", "not ours"),
    ];
    check(file, &environment, r#"e ["p", "q"] 30 1048576 1.5s false blue [::1]:0"#);
}

#[test]
fn every_mistake_is_named_at_once() {
    let environment = [
        ("TEST_LIMITS_CALLS", "101"),
        ("TEST_LIMITS_SIZE", "4 parsecs"),
        ("TEST_LIMITS_WAIT", "10"),
        ("TEST_ON", "yes"),
        ("TEST_COLOUR", "green"),
        ("TEST_LISTEN", "nowhere"),
        ("TEST_NAME", " "),
        ("TEST_NO_SUCH", "x"),
    ];
    let expected = [
        "limits.calls (TEST_LIMITS_CALLS) must be 1 to 100",
        "limits.size (TEST_LIMITS_SIZE) must be a size",
        "limits.wait (TEST_LIMITS_WAIT) must be a time span",
        "on (TEST_ON) must be true or false",
        "colour (TEST_COLOUR) must be one of red, blue",
        "listen (TEST_LISTEN) must be an address",
        "name (TEST_NAME) must not be empty",
        "TEST_NO_SUCH is not a setting",
    ];
    check_mistakes("", &environment, &expected);
    check_mistakes("nmae = \"x\"\n[limits]\ncalls = \"ten\"", &[], &["nmae is not a setting", "limits.calls"]);
}

#[test]
fn variables_that_an_orchestrator_makes_for_a_service_of_our_name_are_not_mistakes() {
    let environment = [("TEST_SERVICE_HOST", "10.0.0.1"), ("TEST_PORT", "tcp://10.0.0.1:1"), ("TEST_PORT_1_TCP", "x")];
    check("", &environment, r#"n ["a"] 10 65536 10s false red 127.0.0.1:1"#);
}

#[test]
fn what_is_printed_can_be_read_back_and_says_where_values_come_from() {
    let mut first = reader("name = \"f\"", &[("TEST_LIMITS_WAIT", "2s")]);
    let values = read_all(&mut first);
    let printed = first.print();
    assert!(printed.contains("name = \"f\" # file"), "{printed}");
    assert!(printed.contains("wait = \"2s\" # TEST_LIMITS_WAIT"), "{printed}");
    assert!(printed.contains("calls = 10 # default"), "{printed}");
    check(&printed, &[], &values);
}

#[test]
fn a_secret_is_given_itself_or_as_a_file_and_never_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "of the file\n").expect("written");
    let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
    let named = path.display().to_string();
    let read = |environment: &[(&str, &str)]| {
        let mut reader = reader("", environment);
        let secret = reader.secret("key", None, "A key.").map(|secret| secret.expose().to_owned());
        let printed = reader.print();
        assert!(!printed.contains("of the"), "{printed}");
        reader.finish().map(|()| secret).map_err(|error| error.to_string())
    };

    set_mode(0o600);
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("TEST_KEY", "of the environment")]), Ok(Some("of the environment".to_owned())));
    assert_eq!(read(&[("TEST_KEY_FILE", &named)]), Ok(Some("of the file".to_owned())));
    let both = read(&[("TEST_KEY", "of the environment"), ("TEST_KEY_FILE", &named)]).expect_err("one or the other");
    assert!(both.contains("TEST_KEY") && !both.contains("of the environment"), "{both}");
    set_mode(0o440);
    assert_eq!(read(&[("TEST_KEY_FILE", &named)]), Ok(Some("of the file".to_owned())), "a group may read");
    set_mode(0o604);
    assert!(read(&[("TEST_KEY_FILE", &named)]).expect_err("open to others").contains("make it 600"));
    assert!(read(&[("TEST_KEY_FILE", "/nowhere")]).expect_err("no such file").contains("TEST_KEY_FILE"));
}

#[test]
fn a_broken_file_does_not_show_its_content() {
    let error = Reader::new("TEST", Some("key = \"hunter2"), []).expect_err("not TOML").to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_part_has_a_table_variables_and_defaults_of_its_own() {
    let file = "[inner]\nname = \"of the table\"";
    let mut outer = reader(file, &[("INNER_LIMITS_CALLS", "7"), ("INNER_WRONG", "x"), ("TEST_NAME", "outer")]);
    let inner = outer.part("inner", "INNER", "on = true\nname = \"of the program\"", read_all);
    assert_eq!(inner, r#"of the table ["a"] 7 65536 10s true red 127.0.0.1:1"#);
    assert_eq!(outer.text("name", "n", "A name."), "outer");
    let mistakes = outer.finish().expect_err("one mistake").0;
    assert_eq!(mistakes, ["INNER_WRONG is not a setting"]);
}
