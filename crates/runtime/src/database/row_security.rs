//! Row-level security of PostgreSQL: a statement that was written without its owner finds nothing and changes nothing.
//!
//! A table has owners if it has the column `owner_id`. Such tables have policies that are forced on everybody, and work
//! runs under a role that owns none of them. The owner is told to the engine at the begin of each transaction and for
//! that transaction alone, so that no connection remembers one. The policy for one owner compares with a single value,
//! which the planner takes for a constant; a list would make it guess, ten owners for each. So the few statements that
//! are about several owners run under a second role, whose policy has the list; and a walk over the owners under a third,
//! which may read some columns of one table and nothing else.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait as _,
};

use super::DatabaseError;
use super::owned::Reach;

/// Row-level security of a store whose rows have owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSecurity {
    /// The role that work runs under.
    pub role: Role,
    /// The table that a walk over the owners may read.
    pub walked: &'static str,
    /// Its columns that it may read.
    pub walked_columns: &'static [&'static str],
}

/// A role of the server: a name that needs no quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role(String);

/// What is wrong with it, and whether we can mend that.
struct Flaw {
    words: String,
    can_be_mended: bool,
}

/// Lets those who own the tables at all rows, if their session says so: migrations, and services without row-level
/// security.
pub(super) const UPKEEP: (&str, &str) = ("app.upkeep", "on");

/// Tables with owners. Partitions are reached by their parents alone.
const OWNED: &str = "
    SELECT c.oid, c.relname, c.relowner, c.relrowsecurity AND c.relforcerowsecurity AS is_forced, c.relispartition
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'owner_id' AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')";

const ONE_OWNER: &str = "owner_id = (SELECT nullif(current_setting('app.owner', true), '')::uuid)";
const SEVERAL_OWNERS: &str =
    "owner_id = ANY ((SELECT string_to_array(current_setting('app.owners', true), ',')::uuid[])::uuid[])";
const IS_UPKEEP: &str = "(SELECT current_setting('app.upkeep', true)) = 'on'";

impl Role {
    /// Lower-case letters, digits and underscores, a letter first, 50 at most.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= 50
            && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
        is_name.then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The role for work on the rows of several owners.
    fn for_several(&self) -> String {
        format!("{}_several", self.0)
    }

    /// The role for a walk over the owners.
    fn for_walk(&self) -> String {
        format!("{}_walk", self.0)
    }

    fn all(&self) -> [String; 3] {
        [self.0.clone(), self.for_several(), self.for_walk()]
    }
}

impl RowSecurity {
    /// What stands behind the `BEGIN` of work on these rows.
    pub(super) fn admission(&self, reach: &Reach) -> String {
        let several = self.role.for_several();
        match reach {
            Reach::Nobody => String::new(),
            Reach::Owner(owner) => format!("; SET LOCAL app.owner = '{owner}'"),
            Reach::Owners(owners) => {
                let owners: BTreeSet<_> = owners().into_iter().collect();
                match owners.first() {
                    Some(owner) if owners.len() == 1 => self.admission(&Reach::Owner(*owner)),
                    _ => {
                        let list: Vec<_> = owners.iter().map(ToString::to_string).collect();
                        format!("; SET LOCAL ROLE {several}; SET LOCAL app.owners = '{}'", list.join(","))
                    }
                }
            }
            Reach::Walk => format!("; SET LOCAL ROLE {}", self.role.for_walk()),
        }
    }

    /// Puts up what is missing, if `migrate` and if that is all, and checks that it stands.
    ///
    /// # Errors
    /// If it does not stand, in words for an operator.
    pub(super) async fn stand(&self, store: &DatabaseConnection, migrate: bool) -> Result<(), DatabaseError> {
        let mut flaws = self.flaws(store).await.map_err(DatabaseError::from_db_err)?;
        if migrate && !flaws.is_empty() && flaws.iter().all(|flaw| flaw.can_be_mended) {
            self.put_up(store).await.map_err(|error| self.not_put_up(&error))?;
            flaws = self.flaws(store).await.map_err(DatabaseError::from_db_err)?;
        }
        if flaws.is_empty() {
            return Ok(());
        }
        let words: Vec<_> = flaws.into_iter().map(|flaw| flaw.words).collect();
        Err(DatabaseError::fault(format!(
            "row-level security does not stand, and without it this program will not run (database.row_security): {}",
            words.join("; ")
        )))
    }

    fn not_put_up(&self, error: &DbErr) -> DatabaseError {
        let roles = self.role.all();
        let made: String = roles.iter().map(|role| format!("CREATE ROLE {role} NOLOGIN; ")).collect();
        DatabaseError::fault(format!(
            "row-level security cannot be put up ({error}): let an administrator of the server run \
             `{made}GRANT {} TO` the user of database.url, or turn database.row_security off",
            roles.join(", ")
        ))
    }

    async fn put_up(&self, store: &DatabaseConnection) -> Result<(), DbErr> {
        for role in self.role.all() {
            store.execute_unprepared(&make_role(&role)).await?;
        }
        let transaction = store.begin().await?;
        transaction
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({})", super::postgres::MIGRATION_LOCK))
            .await?;
        for table in parents(&transaction).await? {
            transaction.execute_unprepared(&self.policies(&table)).await?;
        }
        transaction.commit().await?;
        tracing::info!(role = self.role.as_str(), "row-level security stands");
        Ok(())
    }

    /// What a table needs.
    fn policies(&self, table: &str) -> String {
        let (role, several) = (self.role.as_str(), self.role.for_several());
        let policy = |name: &str, whose: &str, rows: &str| {
            format!(
                "DROP POLICY IF EXISTS {name} ON {table};
                 CREATE POLICY {name} ON {table} TO {whose} USING ({rows}) WITH CHECK ({rows});"
            )
        };
        let mut statements = format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}, {several};"
        );
        statements += &policy("one_owner", role, ONE_OWNER);
        statements += &policy("several_owners", &several, SEVERAL_OWNERS);
        statements += &policy("upkeep", "CURRENT_USER", IS_UPKEEP);
        if table == self.walked {
            statements += &format!(
                "GRANT SELECT ({columns}) ON {table} TO {walk};
                 DROP POLICY IF EXISTS walk ON {table};
                 CREATE POLICY walk ON {table} FOR SELECT TO {walk} USING (true);",
                columns = self.walked_columns.join(", "),
                walk = self.role.for_walk()
            );
        }
        statements
    }

    async fn flaws(&self, connection: &impl ConnectionTrait) -> Result<Vec<Flaw>, DbErr> {
        let statement = Statement::from_string(DbBackend::Postgres, self.looking_for_flaws());
        let rows = connection.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| Ok(Flaw { words: row.try_get_by_index(0)?, can_be_mended: row.try_get_by_index(1)? }))
            .collect()
    }

    fn looking_for_flaws(&self) -> String {
        let (role, several, walk) = (self.role.as_str(), self.role.for_several(), self.role.for_walk());
        let (walked, columns) = (self.walked, self.walked_columns.join("'), ('"));
        format!(
            "WITH every AS ({OWNED}), owned AS (SELECT * FROM every WHERE NOT relispartition),
                 needed(name) AS (VALUES ('{role}'), ('{several}'), ('{walk}')),
                 roles AS (SELECT r.* FROM pg_roles r JOIN needed ON rolname = name),
                 policies AS (
                     SELECT relname, polname, polcmd, polpermissive, polroles, relowner FROM pg_policy JOIN owned ON polrelid = owned.oid
                 ),
                 wanted(relname, polname, polcmd, role) AS (
                     SELECT relname, polname, '*', rolname FROM owned,
                         (VALUES ('one_owner', '{role}'), ('several_owners', '{several}')) AS each(polname, rolname)
                     UNION ALL SELECT relname, 'upkeep', '*', pg_get_userbyid(relowner) FROM owned
                     UNION ALL VALUES ('{walked}', 'walk', 'r', '{walk}')
                 )
             SELECT format('there is no role %s', name), true FROM needed
                 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
             UNION ALL SELECT format('%s is no member of the role %s', session_user, rolname), true FROM roles
                 WHERE NOT pg_has_role(session_user, oid, 'MEMBER')
             UNION ALL SELECT format('the role %s is a superuser', rolname), false FROM roles WHERE rolsuper
             UNION ALL SELECT format('the role %s bypasses row-level security', rolname), false FROM roles
                 WHERE rolbypassrls AND NOT rolsuper
             UNION ALL SELECT format('the role %s has the rights of the owner of %s', rolname, relname), false
                 FROM roles, owned WHERE pg_has_role(rolname, relowner, 'MEMBER') AND NOT rolsuper
             UNION ALL SELECT format('the role %s may not use the schema %s', rolname, current_schema()), true FROM roles
                 WHERE NOT has_schema_privilege(rolname, current_schema(), 'USAGE')
             UNION ALL SELECT format('the role %s lacks %s on %s', rolname, need, relname), true
                 FROM roles, owned, (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS needs(need)
                 WHERE rolname <> '{walk}' AND NOT has_table_privilege(rolname, owned.oid, need)
             UNION ALL SELECT format('the role {walk} may not read %s of {walked}', name), true
                 FROM roles, owned, (VALUES ('{columns}')) AS columns(name)
                 WHERE rolname = '{walk}' AND relname = '{walked}' AND NOT has_column_privilege(rolname, owned.oid, name, 'SELECT')
             UNION ALL SELECT format('the role {walk} may do more than to read {walked}: it has rights on %s', relname), false
                 FROM roles, owned WHERE rolname = '{walk}' AND NOT rolsuper
                 AND has_table_privilege(rolname, owned.oid, 'SELECT, INSERT, UPDATE, DELETE')
             UNION ALL SELECT format('the role %s may use the partition %s itself', rolname, relname), false
                 FROM roles, every WHERE relispartition AND NOT rolsuper
                 AND has_table_privilege(rolname, every.oid, 'SELECT, INSERT, UPDATE, DELETE')
             UNION ALL SELECT format('it is not enabled and forced on %s', relname), true FROM owned WHERE NOT is_forced
             UNION ALL SELECT format('%s has no policy %s for %s', relname, polname, role), true FROM wanted
                 WHERE NOT EXISTS (
                     SELECT FROM policies JOIN pg_roles r ON polroles = ARRAY[r.oid]
                     WHERE policies.relname = wanted.relname AND policies.polname = wanted.polname
                     AND policies.polcmd = wanted.polcmd::\"char\" AND r.rolname = wanted.role AND polpermissive
                 )
             UNION ALL SELECT format('%s has a policy that is not ours, %s', relname, polname), false FROM policies
                 WHERE polpermissive AND NOT EXISTS (
                     SELECT FROM wanted WHERE policies.relname = wanted.relname AND policies.polname = wanted.polname
                 )"
        )
    }
}

async fn parents(transaction: &DatabaseTransaction) -> Result<Vec<String>, DbErr> {
    let statement = format!("SELECT quote_ident(relname) FROM ({OWNED}) AS every WHERE NOT relispartition ORDER BY 1");
    let rows = transaction.query_all_raw(Statement::from_string(DbBackend::Postgres, statement)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Another process may do the same at the same time, for another database of the server.
fn make_role(role: &str) -> String {
    format!(
        "DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                 CREATE ROLE {role} NOLOGIN;
             END IF;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
         END $$;
         DO $$ BEGIN
             IF NOT pg_has_role(session_user, '{role}', 'MEMBER') THEN
                 EXECUTE format('GRANT {role} TO %I', session_user);
             END IF;
             IF NOT has_schema_privilege('{role}', current_schema(), 'USAGE') THEN
                 EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema());
             END IF;
         END $$"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;

    const ALICE: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_role_is_a_name_that_needs_no_quotes() {
        for (name, is_role) in [
            ("notes_app", true),
            ("n2", true),
            ("", false),
            ("2n", false),
            ("Notes", false),
            ("notes-app", false),
            ("a; DROP TABLE notes", false),
            (&"a".repeat(51), false),
        ] {
            assert_eq!(Role::parse(name).is_some(), is_role, "{name}");
        }
    }

    #[test]
    fn the_owners_of_a_transaction_are_told_to_the_engine() {
        let security = RowSecurity { role: Role::parse("app").expect("a role"), walked: "owners", walked_columns: &[] };
        let several = |owners: Vec<Uuid>| Reach::Owners(Arc::new(move || owners.clone()));
        for (reach, admission) in [
            (Reach::Nobody, String::new()),
            (Reach::Owner(ALICE), format!("; SET LOCAL app.owner = '{ALICE}'")),
            (several(vec![BOB, BOB]), format!("; SET LOCAL app.owner = '{BOB}'")),
            (
                several(vec![BOB, ALICE, BOB]),
                format!("; SET LOCAL ROLE app_several; SET LOCAL app.owners = '{ALICE},{BOB}'"),
            ),
            (several(vec![]), "; SET LOCAL ROLE app_several; SET LOCAL app.owners = ''".to_owned()),
            (Reach::Walk, "; SET LOCAL ROLE app_walk".to_owned()),
        ] {
            assert_eq!(security.admission(&reach), admission, "{reach:?}");
        }
    }
}
