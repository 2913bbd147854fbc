-- SPDX-License-Identifier: BSD-3-Clause
-- The roles and the database of the ledger. Run as the superuser:
--     runuser -u postgres -- psql < roles.sql
-- Then give each role a password (\password recheck) or have pg_hba.conf admit it by certificate.

-- Owns the tables. For the first start, a new release and `ledger copy`, and for nothing else.
CREATE ROLE recheck_owner LOGIN;
-- The program: reads and writes rows, and cannot change or drop a table.
CREATE ROLE recheck LOGIN;
-- For people and dashboards: may look and not touch.
CREATE ROLE recheck_look LOGIN;

-- They see how many standbys stream ([state] replicas), and no more of others' data.
GRANT pg_read_all_stats TO recheck_owner, recheck, recheck_look;

-- UTF8 is needed: mail has every character. The order of texts does not matter.
CREATE DATABASE recheck OWNER recheck_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE recheck FROM PUBLIC;
GRANT CONNECT ON DATABASE recheck TO recheck, recheck_look;

\connect recheck
ALTER DEFAULT PRIVILEGES FOR ROLE recheck_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO recheck;
ALTER DEFAULT PRIVILEGES FOR ROLE recheck_owner IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO recheck;
ALTER DEFAULT PRIVILEGES FOR ROLE recheck_owner IN SCHEMA public
    GRANT SELECT ON TABLES TO recheck_look;
