/** Writes a name as an identifier of SQL. */
const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * The SQL that makes a database, and a role that owns one schema in it and may do nothing else. It is for psql and a superuser. des makes its
 * tables in that schema at its first start.
 */
export const sqlOf = ({
  database,
  user
}: {
  readonly database: string
  readonly user: string
}): ReadonlyArray<string> => {
  const [role, name] = [identifier(user), identifier(database)]
  return [
    "-- For psql, as a superuser of PostgreSQL. Then set a password (\\password), or let pg_hba.conf trust a certificate.",
    `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;`,
    `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8';`,
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC;`,
    `GRANT CONNECT ON DATABASE ${name} TO ${role};`,
    `\\connect ${name}`,
    "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
    `CREATE SCHEMA ${role} AUTHORIZATION ${role};`,
    // Nothing of another schema can stand before the tables of des.
    `ALTER ROLE ${role} IN DATABASE ${name} SET search_path = ${role};`
  ]
}
