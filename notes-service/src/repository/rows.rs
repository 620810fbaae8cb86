use sea_orm::sea_query::{Alias, Expr, Func, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};
use serde_json::Value;
use uuid::Uuid;

/// A selected column: its name in the statement, and whether it holds bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Text or a number.
    Plain(&'static str),
    /// Bytes, UUIDs among them.
    Binary(&'static str),
}

impl Column {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain(name) | Self::Binary(name) => name,
        }
    }
}

/// A row, read by the place of its columns.
pub(super) enum Row {
    Selected(QueryResult),
    Json(Vec<Value>),
}

/// Runs a statement that selects exactly `columns`.
///
/// SQLite runs each connection on a thread of its own and sends every row through a channel, which costs 15 to 20 µs
/// a row; there all rows come as one JSON array, so that a page costs one such hop.
pub(super) async fn fetch_all(
    connection: &impl ConnectionTrait,
    select: SelectStatement,
    columns: &[Column],
) -> Result<Vec<Row>, DbErr> {
    if connection.get_database_backend() != DbBackend::Sqlite {
        return Ok(connection.query_all(&select).await?.into_iter().map(Row::Selected).collect());
    }
    let Some(result) = connection.query_one(&as_one_row(select, columns)).await? else { return Ok(Vec::new()) };
    let text: String = result.try_get_by_index(0)?;
    let rows: Vec<Vec<Value>> = serde_json::from_str(&text).map_err(|error| DbErr::Json(error.to_string()))?;
    Ok(rows.into_iter().map(Row::Json).collect())
}

/// The same rows as one array of arrays, in the same order.
fn as_one_row(select: SelectStatement, columns: &[Column]) -> SelectStatement {
    let cells = columns.iter().map(|column| match column {
        Column::Plain(name) => Expr::col(Alias::new(*name)),
        Column::Binary(name) => Func::cust("hex").arg(Expr::col(Alias::new(*name))).into(),
    });
    let row = Func::cust("json_array").args(cells);
    Query::select()
        .expr(Func::cust("json_group_array").arg(row))
        .from_subquery(select, Alias::new("selected"))
        .to_owned()
}

impl Row {
    pub(super) fn integer(&self, index: usize) -> Result<i64, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(cells) => cell(cells, index).and_then(Value::as_i64).ok_or_else(|| unreadable(index)),
        }
    }

    pub(super) fn optional_integer(&self, index: usize) -> Result<Option<i64>, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(cells) if cell(cells, index).is_some_and(Value::is_null) => Ok(None),
            Self::Json(_) => self.integer(index).map(Some),
        }
    }

    pub(super) fn small(&self, index: usize) -> Result<i16, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(_) => i16::try_from(self.integer(index)?).map_err(|_| unreadable(index)),
        }
    }

    pub(super) fn boolean(&self, index: usize) -> Result<bool, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(_) => Ok(self.integer(index)? != 0),
        }
    }

    /// Takes the text out of the row.
    pub(super) fn optional_text(&mut self, index: usize) -> Result<Option<String>, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(cells) => match cells.get_mut(index).map(Value::take) {
                Some(Value::String(text)) => Ok(Some(text)),
                Some(Value::Null) => Ok(None),
                _ => Err(unreadable(index)),
            },
        }
    }

    /// Takes the text out of the row.
    pub(super) fn text(&mut self, index: usize) -> Result<String, DbErr> {
        self.optional_text(index)?.ok_or_else(|| unreadable(index))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(cells) => {
                cell(cells, index).and_then(Value::as_str).and_then(from_hex).ok_or_else(|| unreadable(index))
            }
        }
    }

    /// As [`Row::bytes`]; `hex` makes an empty text of what is missing.
    pub(super) fn optional_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(_) => Ok(Some(self.bytes(index)?).filter(|bytes| !bytes.is_empty())),
        }
    }

    pub(super) fn optional_uuid(&self, index: usize) -> Result<Option<Uuid>, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(cells) if cell(cells, index).is_some_and(|cell| cell.is_null() || cell == "") => Ok(None),
            Self::Json(_) => self.uuid(index).map(Some),
        }
    }

    pub(super) fn uuid(&self, index: usize) -> Result<Uuid, DbErr> {
        match self {
            Self::Selected(result) => result.try_get_by_index(index),
            Self::Json(_) => Uuid::from_slice(&self.bytes(index)?).map_err(|_| unreadable(index)),
        }
    }
}

fn cell(cells: &[Value], index: usize) -> Option<&Value> {
    cells.get(index)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs
        .iter()
        .map(|pair| {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            u8::try_from(high? << 4 | low?).ok()
        })
        .collect()
}

fn unreadable(index: usize) -> DbErr {
    DbErr::Type(format!("column {index} of a row has an unexpected type"))
}
