//! Which cells of a result have another type than their column, so that cells of equal form are distinguishable.

/// What kind of value a cell is, or a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellClass {
    Integer,
    Real,
    Truth,
    Json,
    Text,
    /// Text whose bytes are not UTF-8; its value is written as its bytes.
    InvalidText,
    Binary,
}

impl CellClass {
    /// The name that a marked cell has.
    pub fn as_str(self) -> &'static str {
        match self {
            CellClass::Integer => "integer",
            CellClass::Real => "real",
            CellClass::Truth => "boolean",
            CellClass::Json => "json",
            CellClass::Text => "text",
            CellClass::InvalidText => "invalid_utf8",
            CellClass::Binary => "blob",
        }
    }

    /// What a column of this declared type holds; `None` where the name does not tell.
    pub fn of_declared(name: &str) -> Option<CellClass> {
        const KNOWN: [(&str, CellClass); 14] = [
            ("char", CellClass::Text),
            ("clob", CellClass::Text),
            ("text", CellClass::Text),
            ("json", CellClass::Text),
            ("date", CellClass::Text),
            ("time", CellClass::Text),
            ("uuid", CellClass::Text),
            ("blob", CellClass::Binary),
            ("binary", CellClass::Binary),
            ("int", CellClass::Integer),
            ("bool", CellClass::Integer),
            ("real", CellClass::Real),
            ("floa", CellClass::Real),
            ("doub", CellClass::Real),
        ];
        let name = name.to_lowercase();
        let numeric = ["num", "dec"].iter().any(|part| name.contains(part));
        KNOWN
            .iter()
            .find(|(part, _)| name.contains(part))
            .map(|(_, class)| *class)
            .or(numeric.then_some(CellClass::Real))
    }

    /// Whether a cell of class `own` is what one expects in a column of this class. Numbers show by their form whether
    /// they are whole.
    pub fn covers(self, own: CellClass) -> bool {
        let number = |class| matches!(class, CellClass::Integer | CellClass::Real);
        self == own || (number(self) && number(own))
    }
}

/// The cells of a result that are marked, as `[[row,column,"type"]]` without the outer brackets.
#[derive(Debug, Default)]
pub struct CellTypes {
    json: String,
}

impl CellTypes {
    pub fn mark(&mut self, row: u64, column: usize, own: CellClass) {
        if !self.json.is_empty() {
            self.json.push(',');
        }
        let name = own.as_str();
        self.json.push_str(&format!("[{row},{column},\"{name}\"]"));
    }

    /// Length in bytes; what [`CellTypes::cut`] goes back to.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Forgets the cells that were marked after it was `len` long.
    pub fn cut(&mut self, len: usize) {
        self.json.truncate(len);
    }

    /// The member of a result; empty where there is nothing to say.
    pub fn member(&self) -> String {
        match self.json.is_empty() {
            true => String::new(),
            false => format!(",\"cell_types\":[{}]", self.json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_tell_what_a_column_holds() {
        let rows = [
            ("VARCHAR(20)", Some(CellClass::Text)),
            ("datetime", Some(CellClass::Text)),
            ("BLOB", Some(CellClass::Binary)),
            ("BIGINT UNSIGNED", Some(CellClass::Integer)),
            ("BOOLEAN", Some(CellClass::Integer)),
            ("DECIMAL(10,2)", Some(CellClass::Real)),
            ("DOUBLE PRECISION", Some(CellClass::Real)),
            ("thing", None),
            ("", None),
        ];
        for (name, class) in rows {
            assert_eq!(CellClass::of_declared(name), class, "{name}");
        }
    }

    #[test]
    fn marks_of_a_row_that_did_not_fit_are_forgotten() {
        let mut types = CellTypes::default();
        assert_eq!(types.member(), "");
        types.mark(0, 1, CellClass::Binary);
        let len = types.len();
        types.mark(1, 1, CellClass::Text);
        types.cut(len);
        assert_eq!(types.member(), ",\"cell_types\":[[0,1,\"blob\"]]");
        types.mark(2, 0, CellClass::InvalidText);
        assert_eq!(
            types.member(),
            ",\"cell_types\":[[0,1,\"blob\"],[2,0,\"invalid_utf8\"]]"
        );
    }
}
