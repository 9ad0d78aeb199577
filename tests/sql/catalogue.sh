#!/bin/sh
# Writes what the databases on this machine know about their own functions, for src/domain/sql/catalogue.
#
#   tests/sql/catalogue.sh FOLDER [postgresql] [mysql] [sqlite]
#
# PostgreSQL is asked with psql (PGHOST and the like, or DBWARD_TEST_POSTGRES_URL), MariaDB with mariadb (its own
# options, or MARIADB_ARGS), SQLite with sqlite3. One function name a line, in lower case and byte order:
#
#   postgresql.txt  name and volatility, the worst of all functions of that name: i(mmutable), s(table), v(olatile), and
#                   v1 where one of the volatile ones can be called with one argument, so as a field: (1).pg_sleep
#   mysql.txt       names of the native functions (MariaDB does not publish volatility)
#   sqlite.txt      names of the built-in functions
set -eu
export LC_ALL=C
folder=$1
shift
for database in "${@:-postgresql mysql sqlite}"; do
  for name in $database; do
    case $name in
      postgresql)
        psql ${DBWARD_TEST_POSTGRES_URL:+"$DBWARD_TEST_POSTGRES_URL"} --no-psqlrc -At -c "
          select lower(proname) || ' ' || case max(case provolatile when 'i' then 0 when 's' then 1 else 2 end)
              when 0 then 'i' when 1 then 's'
              else case when bool_or(provolatile = 'v' and pronargs - pronargdefaults <= 1 and pronargs >= 1
                and proargtypes[0] <> 'internal'::regtype) then 'v1' else 'v' end end
          from pg_proc
          where pronamespace = 'pg_catalog'::regnamespace and prokind <> 'p'
            and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype,
              'language_handler'::regtype, 'fdw_handler'::regtype, 'table_am_handler'::regtype,
              'index_am_handler'::regtype, 'tsm_handler'::regtype)
          group by lower(proname)" | sort >"$folder/postgresql.txt"
        ;;
      mysql)
        mariadb ${MARIADB_ARGS:-} -N -e "select lower(function) from information_schema.sql_functions" |
          sort -u >"$folder/mysql.txt"
        ;;
      sqlite)
        sqlite3 :memory: "select distinct lower(name) from pragma_function_list
          where builtin and name glob '[a-zA-Z]*'" | sort -u >"$folder/sqlite.txt"
        ;;
    esac
  done
done
