-- Run once by the PostgreSQL image of docker-compose.yml, on its first start: a database and a role for each service,
-- which can reach nothing of the other's. The passwords are those in the services' own database URLs, so that they
-- cannot differ.
SET log_min_error_statement = panic; -- a failing statement is not logged, for it holds a password

\set auth_password `sed -E 's#^[a-z]+://[^:]+:([^@]+)@.*#\1#' /run/secrets/auth_database_url`
CREATE ROLE auth_service LOGIN PASSWORD :'auth_password';
CREATE DATABASE auth_service OWNER auth_service;
REVOKE ALL ON DATABASE auth_service FROM PUBLIC;

\set notes_password `sed -E 's#^[a-z]+://[^:]+:([^@]+)@.*#\1#' /run/secrets/notes_database_url`
CREATE ROLE notes_service LOGIN PASSWORD :'notes_password';
-- What notes-service runs its statements under: roles that own nothing (database.role of its settings).
CREATE ROLE notes_app NOLOGIN;
CREATE ROLE notes_app_several NOLOGIN;
CREATE ROLE notes_app_walk NOLOGIN;
GRANT notes_app, notes_app_several, notes_app_walk TO notes_service;
CREATE DATABASE notes_service OWNER notes_service;
REVOKE ALL ON DATABASE notes_service FROM PUBLIC;

REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
