//! `coracle.env`, in the syntax of systemd's `EnvironmentFile=`.
//!
//! Its rules: one `NAME=value` per line; lines that begin with `#` or `;` are comments; a backslash at the
//! end of a line joins the next one; single quotes keep everything, double quotes know the escapes
//! `\"`, `\\`, `` \` `` and `\$`; outside quotes a backslash keeps the next character.

/// One assignment or one mistake, with the number of the line that it begins in.
pub type Line = (usize, Result<(String, String), &'static str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    Escape,
    Single,
    Double,
    DoubleEscape,
    Comment,
}

/// Reads the whole text.
pub fn parse(text: &str) -> Vec<Line> {
    let mut reader = Reader::default();
    for character in text.chars().filter(|c| *c != '\r') {
        reader.take(character);
        if character == '\n' {
            reader.line = reader.line.saturating_add(1);
        }
    }
    reader.end();
    reader.lines
}

struct Reader {
    state: State,
    line: usize,
    /// The line that the present assignment begins in.
    begin: usize,
    name: String,
    value: String,
    /// Length of the value up to its last character that counts: unquoted space at the end does not.
    solid: usize,
    lines: Vec<Line>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::BeforeName,
            line: 1,
            begin: 1,
            name: String::new(),
            value: String::new(),
            solid: 0,
            lines: Vec::new(),
        }
    }
}

impl Reader {
    #[allow(
        clippy::match_same_arms,
        reason = "one arm per state reads as the rules do"
    )]
    fn take(&mut self, c: char) {
        self.state = match (self.state, c) {
            (State::BeforeName, '#' | ';') => State::Comment,
            (State::BeforeName, c) if c.is_whitespace() => State::BeforeName,
            (State::BeforeName, c) => {
                self.begin = self.line;
                self.name.push(c);
                State::Name
            }
            (State::Name, '=') => State::BeforeValue,
            (State::Name, '\n') => self.mistake("has no ="),
            (State::Name, c) => {
                self.name.push(c);
                State::Name
            }
            (State::BeforeValue | State::Value, '\n') => self.assignment(),
            (State::BeforeValue, '\'') => State::Single,
            (State::BeforeValue, '"') => State::Double,
            (State::BeforeValue | State::Value, '\\') => State::Escape,
            (State::BeforeValue, c) if c.is_whitespace() => State::BeforeValue,
            (State::Value, c) if c.is_whitespace() => {
                self.value.push(c);
                State::Value
            }
            (State::BeforeValue | State::Value, c) => self.push(c, State::Value),
            (State::Escape, '\n') => State::Value,
            (State::Escape, c) => self.push(c, State::Value),
            (State::Single, '\'') | (State::Double, '"') => State::BeforeValue,
            (State::Single, c) => self.push(c, State::Single),
            (State::Double, '\\') => State::DoubleEscape,
            (State::Double, c) => self.push(c, State::Double),
            (State::DoubleEscape, '\n') => State::Double,
            (State::DoubleEscape, c) => {
                if !matches!(c, '"' | '\\' | '`' | '$') {
                    self.value.push('\\');
                }
                self.push(c, State::Double)
            }
            (State::Comment, '\n') => State::BeforeName,
            (State::Comment, _) => State::Comment,
        };
    }

    fn push(&mut self, c: char, next: State) -> State {
        self.value.push(c);
        self.solid = self.value.len();
        next
    }

    fn assignment(&mut self) -> State {
        self.value.truncate(self.solid);
        let name = std::mem::take(&mut self.name).trim().to_owned();
        let value = std::mem::take(&mut self.value);
        self.solid = 0;
        let first = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let good = first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let line = if good {
            Ok((name, value))
        } else {
            Err("has a name that is no variable's")
        };
        self.lines.push((self.begin, line));
        State::BeforeName
    }

    fn mistake(&mut self, reason: &'static str) -> State {
        self.name.clear();
        self.value.clear();
        self.solid = 0;
        self.lines.push((self.begin, Err(reason)));
        State::BeforeName
    }

    fn end(&mut self) {
        self.state = match self.state {
            State::BeforeName | State::Comment => State::BeforeName,
            State::Name => self.mistake("has no ="),
            State::BeforeValue | State::Value | State::Escape => self.assignment(),
            State::Single | State::Double | State::DoubleEscape => {
                self.mistake("has a quote that is not closed")
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String)> {
        parse(text)
            .into_iter()
            .map(|(line, result)| result.unwrap_or_else(|e| panic!("{line} {e}")))
            .collect()
    }

    fn value(text: &str) -> String {
        values(&format!("A={text}\n")).remove(0).1
    }

    #[test]
    fn plain_lines_comments_and_empty_ones() {
        let read = values("# one\n; two\n\nA=1\n  B = 2 \nC=");
        let expected = [("A", "1"), ("B", "2"), ("C", "")];
        assert_eq!(read, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn values_as_systemd_reads_them() {
        for (text, expected) in [
            ("plain", "plain"),
            ("  two words  ", "two words"),
            ("'single  \\ $x \"'", "single  \\ $x \""),
            (r#""a \" b \\ c \$ \` d""#, r#"a " b \ c $ ` d"#),
            (r#""kept \n""#, r"kept \n"),
            (r"a\ \ ", "a  "),
            (r"back\\slash", r"back\slash"),
            ("one \\\ntwo", "one two"),
            ("\"one \\\ntwo\"", "one two"),
            ("'two\nlines'", "two\nlines"),
            ("'a' \"b\" c", "abc"),
            ("it's", "it's"),
            ("a#b ; c", "a#b ; c"),
            (
                "eyJ.x.y:/ip4/127.0.0.1/tcp/1234/http",
                "eyJ.x.y:/ip4/127.0.0.1/tcp/1234/http",
            ),
            ("a=b", "a=b"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn carriage_returns_of_other_editors_are_no_part_of_a_value() {
        assert_eq!(values("A=1\r\nB=2\r\n"), values("A=1\nB=2\n"));
    }

    #[test]
    fn mistakes_have_the_line_they_begin_in() {
        assert_eq!(parse("A=1\nnonsense\nB=2\n")[1], (2, Err("has no =")));
        assert_eq!(
            parse("\n\nA='open\nB=2")[0],
            (3, Err("has a quote that is not closed"))
        );
        assert_eq!(
            parse("A B=1")[0],
            (1, Err("has a name that is no variable's"))
        );
        assert_eq!(parse("=1")[0], (1, Err("has no =")));
        assert_eq!(
            parse("1A=1")[0],
            (1, Err("has a name that is no variable's"))
        );
        assert_eq!(parse("word"), [(1, Err("has no ="))]);
    }

    #[test]
    fn the_line_number_survives_joined_lines() {
        assert_eq!(parse("A=1 \\\n2\nbad\n")[1], (3, Err("has no =")));
    }
}
