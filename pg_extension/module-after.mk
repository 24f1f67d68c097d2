# module-after.mk — dependencies of object files, after PGXS; and flags that a foreign build of the server left in PGXS.
override CXXFLAGS := $(filter-out -fexcess-precision=standard,$(CXXFLAGS))
override CFLAGS := $(filter-out -Wmissing-variable-declarations,$(CFLAGS))

$(OBJS): $(DEPENDENCY_HEADERS)
