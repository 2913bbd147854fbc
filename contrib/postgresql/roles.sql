-- SPDX-License-Identifier: BSD-3-Clause
-- The role and the database of the ledger. Run as the superuser:
--     psql -f roles.sql
-- Then give the role a password (\password recheck) or have pg_hba.conf admit it by certificate.

CREATE ROLE recheck LOGIN;

-- UTF8 is needed: mail has every character. The order of texts does not matter.
CREATE DATABASE recheck OWNER recheck TEMPLATE template0 ENCODING 'UTF8';

-- It sees how many standbys stream ([state] replicas), and no more of others' data.
GRANT pg_read_all_stats TO recheck;

-- For people and dashboards: who may look and not touch.
CREATE ROLE recheck_look LOGIN;
\connect recheck
GRANT CONNECT ON DATABASE recheck TO recheck_look;
ALTER DEFAULT PRIVILEGES FOR ROLE recheck IN SCHEMA public GRANT SELECT ON TABLES TO recheck_look;
