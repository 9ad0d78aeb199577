//! Geometry of MySQL and MariaDB as text: four bytes of reference system, then well-known binary.

/// Most levels of collections within collections.
const DEPTH_MAX: usize = 8;
/// Longest text that is made, in bytes; a larger geometry stays bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

struct Reader<'a> {
    rest: &'a [u8],
    little: bool,
    out: String,
}

/// The well-known text of a geometry; `None` where the bytes are not one.
pub fn wkt(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader {
        rest: bytes.get(4..)?,
        little: true,
        out: String::new(),
    };
    reader.geometry(true, 0)?;
    reader.rest.is_empty().then_some(reader.out)
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    fn count(&mut self) -> Option<u32> {
        let bytes = self.take::<4>()?;
        Some(match self.little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    }

    fn number(&mut self) -> Option<f64> {
        let bytes = self.take::<8>()?;
        Some(match self.little {
            true => f64::from_le_bytes(bytes),
            false => f64::from_be_bytes(bytes),
        })
    }

    fn point(&mut self) -> Option<()> {
        let (x, y) = (self.number()?, self.number()?);
        self.out.push_str(&format!("{x} {y}"));
        (self.out.len() <= TEXT_BYTES_MAX).then_some(())
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.count()?;
        self.out.push('(');
        for n in 0..count {
            if n > 0 {
                self.out.push(',');
            }
            item(self)?;
        }
        self.out.push(')');
        Some(())
    }

    /// A geometry with its head; `named` writes the name of its kind.
    fn geometry(&mut self, named: bool, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.little = match self.take::<1>()? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let kind = self.count()?;
        let names = [
            "POINT",
            "LINESTRING",
            "POLYGON",
            "MULTIPOINT",
            "MULTILINESTRING",
            "MULTIPOLYGON",
            "GEOMETRYCOLLECTION",
        ];
        let name = names.get(usize::try_from(kind.checked_sub(1)?).ok()?)?;
        if named {
            self.out.push_str(name);
        }
        match kind {
            1 => {
                self.out.push('(');
                self.point()?;
                self.out.push(')');
                Some(())
            }
            2 => self.list(Reader::point),
            3 => self.list(|r| r.list(Reader::point)),
            4..=6 => self.list(|r| r.geometry(false, depth + 1)),
            _ => self.list(|r| r.geometry(true, depth + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wkt;

    fn point(x: f64, y: f64) -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 0, 0];
        bytes.extend(x.to_le_bytes());
        bytes.extend(y.to_le_bytes());
        bytes
    }

    #[test]
    fn geometry_is_shown_as_text_and_anything_else_is_not() {
        let with_srid = |body: &[u8]| [&[0, 0, 0, 0], body].concat();
        assert_eq!(wkt(&with_srid(&point(1.5, -2.0))).unwrap(), "POINT(1.5 -2)");
        let mut two = vec![1, 7, 0, 0, 0, 2, 0, 0, 0];
        two.extend(point(0.0, 1.0));
        two.extend(point(2.0, 3.0));
        assert_eq!(
            wkt(&with_srid(&two)).unwrap(),
            "GEOMETRYCOLLECTION(POINT(0 1),POINT(2 3))"
        );
        for bad in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x01\x09\0\0\0",
            b"\0\0\0\0\x01\x02\0\0\0\xff\xff\xff\xff",
        ] {
            assert_eq!(wkt(bad), None);
        }
    }
}
