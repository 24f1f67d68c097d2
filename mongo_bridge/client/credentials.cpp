/*
 * credentials.cpp — reading the credentials file.
 */
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bson/error.h"
#include "credentials.h"

namespace bridge
{

/* Far more than any list of credentials; it keeps a wrong file name from filling the memory. */
static constexpr size_t max_file_size = 1024 * 1024;

static const char blanks[] = " \t\r";

static std::string
trim(const std::string &text)
{
	size_t first = text.find_first_not_of(blanks);

	if (first == std::string::npos)
		return "";
	return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/* Where a setting of this name belongs; null if there is no such setting. */
static std::string *
setting(Credentials *credentials, const std::string &key)
{
	if (key == "user")
		return &credentials->user;
	if (key == "password")
		return &credentials->password;
	if (key == "auth_source")
		return &credentials->auth_source;
	if (key == "auth_mechanism")
		return &credentials->auth_mechanism;
	if (key == "tls_ca_file")
		return &credentials->tls_ca_file;
	if (key == "tls_certificate_file")
		return &credentials->tls_certificate_file;
	return nullptr;
}

[[noreturn]] static void
bad_line(const char *file, int line, const char *detail)
{
	throw Error(sqlstate::config_file_error,
				std::string("syntax error in credentials file \"") + file + "\", line " +
					std::to_string(line),
				detail);
}

/* A file read line by line: in which section it is, and what it found. */
struct Parser
{
	const char *file;
	const char *wanted;
	int line = 0;
	bool in_section = false;
	bool in_wanted = false;
	bool found = false;
	Credentials credentials;

	void read_line(const std::string &text);
	void read_section(const std::string &text);
	void read_setting(const std::string &text);
};

void
Parser::read_line(const std::string &raw)
{
	std::string text = trim(raw);

	line++;
	if (text.find('\0') != std::string::npos)
		bad_line(file, line, "The line holds a NUL byte.");
	if (text.empty() || text[0] == '#' || text[0] == ';')
		return;
	if (text[0] == '[')
		read_section(text);
	else
		read_setting(text);
}

void
Parser::read_section(const std::string &text)
{
	if (text.size() < 3 || text.back() != ']')
		bad_line(file, line, "A section is a name in square brackets.");
	in_section = true;
	in_wanted = trim(text.substr(1, text.size() - 2)) == wanted;
	if (in_wanted && found)
		bad_line(file, line, "The section occurs twice.");
	found = found || in_wanted;
}

/* Lines of other sections are checked as well: an error must not wait until somebody uses them. */
void
Parser::read_setting(const std::string &text)
{
	size_t equals = text.find('=');
	Credentials ignored;

	if (equals == std::string::npos)
		bad_line(file, line, "A line is a section in square brackets, key = value, or a comment.");
	if (!in_section)
		bad_line(file, line, "A setting must come after a section in square brackets.");

	std::string *value = setting(in_wanted ? &credentials : &ignored, trim(text.substr(0, equals)));
	if (value == nullptr)
		bad_line(file, line,
				 "Keys are user, password, auth_source, auth_mechanism, tls_ca_file and "
				 "tls_certificate_file.");
	if (!value->empty())
		bad_line(file, line, "The key occurs twice in its section.");
	*value = trim(text.substr(equals + 1));
}

Credentials
parse_credentials(const std::string &text, const char *file, const char *name)
{
	Parser parser{file, name};
	size_t begin = 0;

	while (begin < text.size())
	{
		size_t end = text.find('\n', begin);
		if (end == std::string::npos)
			end = text.size();
		parser.read_line(text.substr(begin, end - begin));
		begin = end + 1;
	}
	if (!parser.found)
		throw Error(sqlstate::undefined_object,
					std::string("credentials \"") + name + "\" do not exist", "",
					std::string("Add a section [") + name + "] to the file \"" + file + "\".");
	return parser.credentials;
}

[[noreturn]] static void
unreadable(const char *file, int error)
{
	throw Error(sqlstate::config_file_error,
				std::string("could not read credentials file \"") + file + "\": " + strerror(error),
				"", "The setting \"tenancy_mongo.credentials_file\" names the file.");
}

namespace
{
struct FileDescriptor
{
	int fd;

	explicit FileDescriptor(int descriptor) noexcept : fd(descriptor) {}
	~FileDescriptor()
	{
		if (fd >= 0)
			close(fd);
	}
	FileDescriptor(const FileDescriptor &) = delete;
	FileDescriptor &operator=(const FileDescriptor &) = delete;
};
} // namespace

/* As libpq does with .pgpass and the server with its key: a secret that others can read is none. */
static void
check_permissions(const char *file, const struct stat &status)
{
	if (!S_ISREG(status.st_mode))
		throw Error(sqlstate::config_file_error,
					std::string("credentials file \"") + file + "\" is not a regular file");
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		throw Error(sqlstate::config_file_error,
					std::string("credentials file \"") + file + "\" has group or world access",
					"Permissions should be u=rw (0600) or less.",
					std::string("Run: chmod 0600 ") + file);
	if (status.st_uid != geteuid() && status.st_uid != 0)
		throw Error(sqlstate::config_file_error,
					std::string("credentials file \"") + file + "\" belongs to another user",
					"It must be owned by the server's user or by root.");
}

Credentials
read_credentials(const char *file, const char *name)
{
	/* Non-blocking: a FIFO of that name must not hold the session up. */
	FileDescriptor descriptor(open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
	struct stat status;
	std::string text;

	if (descriptor.fd < 0 || fstat(descriptor.fd, &status) < 0)
		unreadable(file, errno);
	check_permissions(file, status);
	for (;;)
	{
		char buffer[4096];
		ssize_t got = read(descriptor.fd, buffer, sizeof(buffer));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			unreadable(file, errno);
		if (got == 0)
			break;
		text.append(buffer, static_cast<size_t>(got));
		if (text.size() > max_file_size)
			unreadable(file, EFBIG);
	}
	return parse_credentials(text, file, name);
}

} // namespace bridge
