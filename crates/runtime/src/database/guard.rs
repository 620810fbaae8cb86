//! What debug builds do on SQLite, which has no row-level security: each statement that names a table with owners must
//! compare `owner_id` with the owner whom it is for, or insert a row of theirs, by a value that is bound.

use std::sync::{Arc, Mutex};

use sea_orm::sea_query::Value;
use sea_orm::{DbErr, Statement};
use uuid::Uuid;

use super::owned::Reach;

/// The names of the tables that have owners.
pub(super) type Tables = Arc<[String]>;

/// Looks at the statements of one connection.
pub(super) struct Guard {
    tables: Tables,
    /// The table that a walk may read.
    walked: &'static str,
    owners: Mutex<Owners>,
}

enum Owners {
    These(Vec<Uuid>),
    Everybody,
}

/// A word, a placeholder or a sign of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Placeholder,
    Sign(char),
}

impl Guard {
    pub(super) fn new(tables: Tables, walked: &'static str) -> Self {
        Self { tables, walked, owners: Mutex::new(Owners::These(Vec::new())) }
    }

    /// Another unit of work begins.
    pub(super) fn enter(&self, reach: &Reach) {
        *self.owners.lock().expect("nobody panics while holding it") = match reach {
            Reach::Nobody => Owners::These(Vec::new()),
            Reach::Owner(owner) => Owners::These(vec![*owner]),
            Reach::Owners(owners) => Owners::These(owners()),
            Reach::Walk => Owners::Everybody,
        };
    }

    /// # Errors
    /// If the statement could reach rows of another owner than those whom the work is for.
    pub(super) fn check(&self, statement: &Statement) -> Result<(), DbErr> {
        let tokens = tokens(&statement.sql);
        let names = |table: &str| tokens.contains(&Token::Word(table));
        // What is explained is not run.
        if is_word(tokens.first(), "EXPLAIN") || !self.tables.iter().any(|table| names(table)) {
            return Ok(());
        }
        let values = statement.values.as_ref().map_or(&[][..], |values| &values.0);
        let is_kept_to_owners = match &*self.owners.lock().expect("nobody panics while holding it") {
            Owners::These(owners) => is_kept_to(owners, &tokens, values),
            Owners::Everybody => {
                is_word(tokens.first(), "SELECT")
                    && self.tables.iter().all(|table| table == self.walked || !names(table))
            }
        };
        if is_kept_to_owners {
            return Ok(());
        }
        Err(DbErr::Custom(format!("a statement is not bound to the owner whom it is for: {}", statement.sql)))
    }
}

/// Whether `owner_id` is compared with these owners and with nobody else, or rows of theirs are inserted.
fn is_kept_to(owners: &[Uuid], tokens: &[Token<'_>], values: &[Value]) -> bool {
    let is_owner = |value: Option<&Value>| matches!(value, Some(Value::Uuid(Some(id))) if owners.contains(id));
    if is_word(tokens.first(), "INSERT") {
        let columns = tokens.iter().skip_while(|token| **token != Token::Sign('(')).skip(1);
        let columns: Vec<_> = columns.take_while(|token| **token != Token::Sign(')')).collect();
        let columns: Vec<_> = columns.into_iter().filter(|token| matches!(token, Token::Word(_))).collect();
        let place = columns.iter().position(|token| **token == Token::Word("owner_id"));
        // What stands after the rows (ON CONFLICT) has no values here.
        return place.is_some_and(|place| {
            values.len() >= columns.len() && values.chunks_exact(columns.len()).all(|row| is_owner(row.get(place)))
        });
    }
    let (mut ordinal, mut compared) = (0, 0);
    for (index, token) in tokens.iter().enumerate() {
        if *token == Token::Placeholder {
            if is_compared_with_owner(&tokens[..index]) {
                if !is_owner(values.get(ordinal)) {
                    return false;
                }
                compared += 1;
            }
            ordinal += 1;
        }
    }
    compared > 0
}

/// Whether these words end with `owner_id =` or with `owner_id IN (?, ?,`.
fn is_compared_with_owner(before: &[Token<'_>]) -> bool {
    let listed = |token: &&Token<'_>| matches!(token, Token::Placeholder | Token::Sign(','));
    let before = match before {
        [before @ .., Token::Sign('=')] | [before @ .., Token::Word("IN"), Token::Sign('(')] => before,
        _ => {
            let list = before.iter().rev().take_while(listed).count();
            match &before[..before.len() - list] {
                [before @ .., Token::Word("IN"), Token::Sign('(')] if list > 0 => before,
                _ => return false,
            }
        }
    };
    matches!(before, [.., Token::Word("owner_id")])
}

fn is_word(token: Option<&Token<'_>>, word: &str) -> bool {
    token == Some(&Token::Word(word))
}

/// The words of a statement, without the quotes of names; texts in it are left out.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_of_a_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let taken = match first {
            '"' => {
                let name = rest[1..].find('"').map_or(&rest[1..], |end| &rest[1..=end]);
                tokens.push(Token::Word(name));
                name.len() + 2
            }
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '?' => {
                tokens.push(Token::Placeholder);
                1
            }
            letter if is_of_a_word(letter) => {
                let length = rest.find(|letter| !is_of_a_word(letter)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..length]));
                length
            }
            sign => {
                if !sign.is_whitespace() {
                    tokens.push(Token::Sign(sign));
                }
                sign.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or("");
    }
    tokens
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    const ALICE: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);

    fn check(reach: &Reach, sql: &str, values: &[Uuid], is_allowed: bool) {
        let guard = Guard::new(["notes", "owners"].map(str::to_owned).into(), "owners");
        guard.enter(reach);
        let values = values.iter().map(|id| Value::Uuid(Some(*id)));
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
        assert_eq!(guard.check(&statement).is_ok(), is_allowed, "{reach:?}: {sql}");
    }

    #[test]
    fn a_statement_is_bound_to_the_owner_whom_it_is_for() {
        let alice = Reach::Owner(ALICE);
        for (sql, values, is_allowed) in [
            (r#"SELECT "x" FROM "notes" WHERE "owner_id" = ?"#, vec![ALICE], true),
            (r#"SELECT "x" FROM "notes" WHERE "notes"."id" = ? AND "notes"."owner_id" = ?"#, vec![BOB, ALICE], true),
            (r#"SELECT "x" FROM "notes" WHERE "owner_id" IN (?, ?)"#, vec![ALICE, ALICE], true),
            (r#"DELETE FROM notes WHERE owner_id = ?"#, vec![ALICE], true),
            (r#"INSERT INTO "notes" ("id", "owner_id") VALUES (?, ?), (?, ?)"#, vec![BOB, ALICE, BOB, ALICE], true),
            (r#"SELECT "x" FROM "others""#, vec![], true),
            (r#"SELECT 'notes'"#, vec![], true),
            (r#"EXPLAIN QUERY PLAN SELECT "x" FROM "notes""#, vec![], true),
            (r#"SELECT "x" FROM "notes""#, vec![], false),
            (r#"SELECT "x" FROM "notes" WHERE "owner_id" = ?"#, vec![BOB], false),
            (r#"SELECT "x" FROM "notes" WHERE "owner_id" IN (?, ?)"#, vec![ALICE, BOB], false),
            (r#"SELECT "x" FROM "notes" WHERE "owner_id" > ?"#, vec![ALICE], false),
            (r#"SELECT "owner_id" FROM "notes" WHERE "id" = ?"#, vec![ALICE], false),
            (r#"UPDATE "notes" SET "x" = ?"#, vec![ALICE], false),
            (r#"INSERT INTO "notes" ("id", "owner_id") VALUES (?, ?), (?, ?)"#, vec![BOB, ALICE, ALICE, BOB], false),
            (r#"INSERT INTO "notes" ("id") VALUES (?)"#, vec![ALICE], false),
        ] {
            check(&alice, sql, &values, is_allowed);
        }
    }

    #[test]
    fn work_for_nobody_touches_no_table_with_owners_and_a_walk_reads_one() {
        let by_owner = r#"SELECT "x" FROM "owners" WHERE "owner_id" = ?"#;
        check(&Reach::Nobody, by_owner, &[ALICE], false);
        check(&Reach::Nobody, r#"SELECT "x" FROM "others""#, &[], true);
        let several = Reach::Owners(Arc::new(|| vec![ALICE, BOB]));
        check(&several, r#"SELECT "x" FROM "owners" WHERE "owner_id" IN (?, ?)"#, &[ALICE, BOB], true);
        check(&Reach::Walk, r#"SELECT "x" FROM "owners" WHERE "owner_id" > ?"#, &[ALICE], true);
        check(&Reach::Walk, r#"SELECT "x" FROM "notes""#, &[], false);
        check(&Reach::Walk, r#"DELETE FROM "owners""#, &[], false);
    }
}
