/*
 * credentials.h — the file that keeps MongoDB's secrets out of SQL.
 *
 *     # platform.conf: mode 0600, owned by the server's user
 *     [platform]
 *     user = pg_tenancy
 *     password = s3cret, everything up to the end of the line
 *     auth_source = admin
 *     tls_ca_file = /etc/ssl/mongo-ca.pem
 *
 * Keys: user, password, auth_source, auth_mechanism, tls_ca_file, tls_certificate_file.  Blanks around a value are not
 * part of it; everything else is, quotes and # as well.  A line that is neither a section, a setting, a comment (# or ; at
 * its start) nor blank is an error that names the line's number and never its text.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_CREDENTIALS_H
#define PG_TENANCY_CLIENT_CREDENTIALS_H

#include <string>

namespace bridge
{

struct Credentials
{
	std::string user;
	std::string password;
	std::string auth_source;
	std::string auth_mechanism;
	std::string tls_ca_file;
	std::string tls_certificate_file;
};

/*
 * Reads the entry "name".  Throws Error: the file cannot be read or is open to others (config_file_error), has a bad
 * line, or has no such entry (undefined_object, with the entries' file named in the hint and never their text).
 */
Credentials read_credentials(const char *file, const char *name);

/* The same from text; the file's name is for messages. */
Credentials parse_credentials(const std::string &text, const char *file, const char *name);

} // namespace bridge

#endif
