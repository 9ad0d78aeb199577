//! A MariaDB of a test's own, for what the shared one cannot be made to do: TLS with certificates of the test. Made by the
//! programs of an installed server, which have to be there where DBWARD_TEST_MYSQL_URL is set.

use super::super::postgres::cluster::{certificates, free_port};
use crate::support::{Temp, eventually};
use dbward::agent::config::{DatabaseEndpoint, Password, Tls};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct OwnServer {
    folder: Temp,
    server: Child,
    pub port: u16,
}

impl OwnServer {
    /// One whose certificate, for `localhost`, the authority in [`OwnServer::authority`] has signed. A client that comes by
    /// TCP has to use TLS and the password `secret`: `app` may do everything, `plain` what a database `shop` needs.
    pub fn start() -> OwnServer {
        OwnServer::start_with(&[])
    }

    /// The same with further options.
    pub fn start_with(options: &[&str]) -> OwnServer {
        let folder = Temp::new();
        let data = folder.path().join("data");
        let mut made = Command::new("mariadb-install-db");
        made.arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let status = quiet(&mut made).status();
        let status =
            status.expect("no programs of a MariaDB server are installed, which this test needs");
        assert!(status.success());
        certificates(folder.path());
        let init = folder.path().join("init.sql");
        std::fs::write(
            &init,
            "CREATE USER app@'%' IDENTIFIED BY 'secret' REQUIRE SSL;\nGRANT ALL ON *.* TO app@'%';\n\
             CREATE USER plain@'%' IDENTIFIED BY 'secret' REQUIRE SSL;\nGRANT ALL ON shop.* TO plain@'%';\n",
        )
        .unwrap();
        let port = free_port();
        let at =
            |name: &str, file: &str| format!("--{name}={}", folder.path().join(file).display());
        let mut command = Command::new("mariadbd");
        command
            .arg("--no-defaults")
            .args([
                at("datadir", "data"),
                at("socket", "socket"),
                at("pid-file", "pid"),
                at("init-file", "init.sql"),
                at("ssl-cert", "server.pem"),
                at("ssl-key", "server.key"),
                at("ssl-ca", "ca.pem"),
                format!("--port={port}"),
            ])
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--user=root",
                "--innodb-buffer-pool-size=8M",
            ])
            .args(options);
        let server = OwnServer {
            server: quiet(&mut command).spawn().unwrap(),
            folder,
            port,
        };
        eventually("the server listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    pub fn endpoint(&self, host: &str, tls: Tls, ca_file: Option<PathBuf>) -> DatabaseEndpoint {
        DatabaseEndpoint {
            host: host.to_owned(),
            port: self.port,
            user: "app".to_owned(),
            password: Some(Password(b"secret".to_vec())),
            database: "mysql".to_owned(),
            tls,
            ca_file,
            read_only: false,
            lock_timeout_secs: 2,
            schema: None,
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}
