//! The SQL dialects that the analysis knows, and in which of them a text was read.

/// SQL dialects that the analysis knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

impl Dialect {
    /// `postgresql`, `mysql` or `sqlite`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Postgres => "postgresql",
            Dialect::MySql => "mysql",
            Dialect::Sqlite => "sqlite",
        }
    }

    /// The dialect of that name; `postgres` and `mariadb` are understood too.
    pub fn parse(text: &str) -> Option<Dialect> {
        match text {
            "postgresql" | "postgres" => Some(Dialect::Postgres),
            "mysql" | "mariadb" => Some(Dialect::MySql),
            "sqlite" => Some(Dialect::Sqlite),
            _ => None,
        }
    }
}

/// In which dialect a text was read when it was approved; a fact of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialectFact {
    /// The dialect of the database was known.
    Known(Dialect),
    /// It was not, and the text is the same in all dialects.
    Any,
    /// It was not, and the dialects read the text differently.
    Unknown,
}

impl DialectFact {
    /// `postgresql`, `mysql`, `sqlite`, `any` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            DialectFact::Known(dialect) => dialect.as_str(),
            DialectFact::Any => "any",
            DialectFact::Unknown => "unknown",
        }
    }

    /// The fact of that name.
    pub fn parse(text: &str) -> Option<DialectFact> {
        match text {
            "any" => Some(DialectFact::Any),
            "unknown" => Some(DialectFact::Unknown),
            _ => Dialect::parse(text).map(DialectFact::Known),
        }
    }

    /// Whether the text still means what was analysed, now that the database's dialect is `known`. Where nobody knows
    /// it any more, nobody says otherwise, and only an agent that reports the old one may run the text.
    pub fn holds(self, known: Option<Dialect>) -> bool {
        match self {
            DialectFact::Known(dialect) => known.is_none_or(|known| known == dialect),
            DialectFact::Any => true,
            DialectFact::Unknown => known.is_none(),
        }
    }

    /// Whether an agent may run the text whose dialect is taken to be `dialect`, none where nothing says which.
    pub fn runs_on(self, dialect: Option<Dialect>) -> bool {
        self == DialectFact::Any || dialect.is_some_and(|dialect| self.accepts(dialect))
    }

    /// Whether a driver of `dialect` executes the text as it was analysed.
    pub fn accepts(self, dialect: Dialect) -> bool {
        match self {
            DialectFact::Known(known) => known == dialect,
            DialectFact::Any => true,
            DialectFact::Unknown => false,
        }
    }
}
