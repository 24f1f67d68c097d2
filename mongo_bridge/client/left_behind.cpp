/*
 * left_behind.cpp — a short list for the process.
 */
#include <algorithm>
#include <string>
#include <vector>

#include "../bson/document.h"
#include "left_behind.h"

namespace bridge
{

struct LeftSession
{
	std::string owner;
	Document id;
};

/* Of more than that, the eldest have ended by MongoDB's own timeout soon. */
static constexpr size_t max_left = 100;

/* Made when it is needed, and never destroyed: there are no global objects with destructors. */
static std::vector<LeftSession> *left = nullptr;

void
leave_behind(const std::string &owner, const bson_t *session) noexcept
{
	try
	{
		if (left == nullptr)
			left = new std::vector<LeftSession>;
		if (left->size() >= max_left)
			left->erase(left->begin());
		left->push_back({owner, Document(session)});
	}
	catch (const std::exception &)
	{
		/* Without memory it is MongoDB's timeout. */
	}
}

bool
anything_left_behind() noexcept
{
	return left != nullptr && !left->empty();
}

bool
put_left_behind(const std::string &owner, bson_t *command)
{
	bson_t sessions;
	int count = 0;

	BSON_APPEND_ARRAY_BEGIN(command, "killSessions", &sessions);
	for (const LeftSession &session : *left)
		if (session.owner == owner)
		{
			std::string key = std::to_string(count++);
			BSON_APPEND_DOCUMENT(&sessions, key.c_str(), session.id.get());
		}
	bson_append_array_end(command, &sessions);
	return count > 0;
}

void
forget_left_behind(const std::string &owner) noexcept
{
	left->erase(std::remove_if(left->begin(), left->end(),
							   [&](const LeftSession &session) { return session.owner == owner; }),
				left->end());
}

} // namespace bridge
