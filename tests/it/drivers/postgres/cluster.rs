//! A PostgreSQL of a test's own, for what no shared one can be made to do: logins with passwords, TLS, commits that
//! hang. Made by the programs of an installed server, which have to be there where DBWARD_TEST_POSTGRES_URL is set.

use super::super::Place;
use super::super::places::placed;
use crate::support::{Temp, eventually};
use dbward::agent::config::{DatabaseEndpoint, DriverConfig, Password, Tls};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whom the programs run as where we are the superuser, for whom they refuse to.
const SERVICE_USER: &str = "postgres";

pub struct Cluster {
    folder: Temp,
    server: Child,
    pub port: u16,
}

/// The newest folder of server programs.
pub fn programs() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let folders = all.filter_map(Result::ok).map(|e| e.path().join("bin"));
    let newest = folders.filter(|bin| bin.join("initdb").is_file()).max();
    newest.expect("no programs of a PostgreSQL server are installed, which this test needs")
}

fn superuser(folder: &Path) -> bool {
    std::fs::metadata(folder).unwrap().uid() == 0
}

/// `program`, run by somebody whom the server accepts.
pub fn command(folder: &Path, program: &Path) -> Command {
    let mut command =
        match superuser(folder) || Path::new("/proc/self").metadata().unwrap().uid() == 0 {
            true => {
                let mut command = Command::new("setpriv");
                command
                    .args([
                        "--reuid",
                        SERVICE_USER,
                        "--regid",
                        SERVICE_USER,
                        "--clear-groups",
                    ])
                    .arg(program);
                command
            }
            false => Command::new(program),
        };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Cluster {
    /// One with these further lines of postgresql.conf.
    pub fn start(settings: &str) -> Cluster {
        let programs = programs();
        let folder = Temp::new();
        let path = folder.path().to_owned();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        certificates(&path);
        if superuser(&path) {
            run(Command::new("chown").args(["-R", SERVICE_USER]).arg(&path));
        }
        let data = path.join("data");
        run(command(&path, &programs.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data));
        let port = free_port();
        let conf = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\n\
             ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\npassword_encryption = 'scram-sha-256'\n{settings}\n",
            path.display(),
            path.join("server.pem").display(),
            path.join("server.key").display(),
        );
        let hba = "local all all trust\nhostssl all secured 127.0.0.1/32 scram-sha-256\n\
                   host all plain 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
        append(&data.join("postgresql.conf"), &conf);
        std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let server = command(&path, &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .spawn()
            .unwrap();
        let cluster = Cluster {
            folder,
            server,
            port,
        };
        let socket = path.join(format!(".s.PGSQL.{port}"));
        eventually("the server listens", || {
            socket.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let place = cluster.place(cluster.endpoint());
        eventually("the server is up", || {
            place.wall.check(&place.driver).is_ok()
        });
        cluster
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The superuser, without a password and without TLS.
    pub fn endpoint(&self) -> DatabaseEndpoint {
        DatabaseEndpoint {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: "postgres".to_owned(),
            password: None,
            database: "postgres".to_owned(),
            tls: Tls::Off,
            ca_file: None,
            read_only: false,
            lock_timeout_secs: 2,
            schema: None,
        }
    }

    /// Somebody with a password.
    pub fn login(&self, user: &str, password: &str, tls: Tls) -> DatabaseEndpoint {
        DatabaseEndpoint {
            host: "localhost".to_owned(),
            user: user.to_owned(),
            password: Some(Password(password.as_bytes().to_vec())),
            tls,
            ca_file: Some(self.folder.path().join("ca.pem")),
            ..self.endpoint()
        }
    }

    pub fn place(&self, endpoint: DatabaseEndpoint) -> Place {
        placed(DriverConfig::Postgres(endpoint))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn append(path: &Path, text: &str) {
    let mut all = std::fs::read_to_string(path).unwrap();
    all.push_str(text);
    std::fs::write(path, all).unwrap();
}

/// An authority, and a certificate of it for `localhost`.
pub fn certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let authority = [
        "req",
        "-x509",
        "-subj",
        "/CN=authority",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    openssl(&[&authority[..], &key[..]].concat());
    std::fs::write(
        folder.join("names"),
        "subjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n",
    )
    .unwrap();
    let request = [
        "req",
        "-subj",
        "/CN=localhost",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    openssl(&[&request[..], &key[..]].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
    for name in ["server.key", "ca.key"] {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.join(name), mode).unwrap();
    }
}
