/*
 * document.cpp — extended JSON in and out.
 */
#include <cstring>

#include "document.h"
#include "error.h"
#include "value.h"

namespace bridge
{

/* libbson's parser takes a second document behind the first and drops it without a word. */
static bool
holds_one_object(const char *json, size_t length)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < length; i++)
	{
		char c = json[i];

		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		}
		else if (c == '"')
			in_string = true;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return strspn(json + i + 1, " \t\r\n") == length - i - 1;
	}
	return false;
}

Document
Document::parse(const char *json)
{
	bson_error_t error;
	size_t length = strlen(json);
	const char *start = json + strspn(json, " \t\r\n");
	Document document;

	if (*start != '{' && *start != '[')
		throw Error(sqlstate::invalid_json_text, "invalid extended JSON",
					"A document must be a JSON object or array.");

	bson_destroy(&document.bson_);
	if (!bson_init_from_json(&document.bson_, json, static_cast<ssize_t>(length), &error))
	{
		bson_init(&document.bson_);
		throw Error(sqlstate::invalid_json_text, "invalid extended JSON", error.message);
	}
	if (!holds_one_object(json, length))
		throw Error(sqlstate::invalid_json_text, "invalid extended JSON",
					"There is text after the end of the document.");
	return document;
}

std::string
Document::json() const
{
	return document_json(&bson_);
}

} // namespace bridge
