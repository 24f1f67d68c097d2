# module.mk — what the two modules' Makefiles share: how C++ is built against PGXS.
#
# Included after PG_CONFIG is known and before PGXS; module-after.mk comes after PGXS.

PG_CONFIG ?= pg_config
PG_SERVER_INCLUDES := $(shell $(PG_CONFIG) --includedir-server)

# -isystem: the server's headers are C and warn under C++17.  PGXS's own later -I of the same folder is ignored.
PG_CPPFLAGS += -isystem $(PG_SERVER_INCLUDES) -I$(CURDIR)/../pg_extension \
	-DPGDLLEXPORT='__attribute__((visibility("default")))'

# gnu++17: copyObject needs typeof.  Nothing is visible but what PGDLLEXPORT marks.
PG_CXXFLAGS += -std=gnu++17 -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-fvisibility=hidden -fvisibility-inlines-hidden $(if $(WERROR),-Werror)

# test/support/check_asan.sh brings the libraries that this needs into the server.
ifdef SANITIZE
PG_CXXFLAGS += -fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer
endif

# Core's idiom: the module is linked by the C++ compiler.  Bitcode gains nothing here.
override COMPILER = $(CXX) $(CXXFLAGS)
override with_llvm = no
