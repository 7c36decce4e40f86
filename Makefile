VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.incarnate
OUT := out/demo
# Two at once: more would share the same cores and memory.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); [ $$n -lt 2 ] && echo 0 || echo 2)

.PHONY: setup demo test check clean

setup: $(STAMP)

$(STAMP): scripts/setup.sh pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	scripts/setup.sh $(VENV)
	@touch $@

# A photo becomes an avatar; the avatar turns round, takes poses, and talks where the photo was taken.
demo: $(STAMP)
	@mkdir -p $(OUT)
	$(BIN)/incarnate create examples/photo/woman.jpg -o $(OUT)/woman.avatar
	$(BIN)/incarnate render $(OUT)/woman.avatar -o $(OUT)/turntable.mp4
	$(BIN)/incarnate render $(OUT)/woman.avatar -o $(OUT)/arms-up.png --pose arms-up
	$(BIN)/incarnate render $(OUT)/woman.avatar -o $(OUT)/sitting.png --pose sitting --azimuth 30
	$(BIN)/incarnate render $(OUT)/woman.avatar -o $(OUT)/smile.png --framing head --expression smile
	$(BIN)/incarnate talk $(OUT)/woman.avatar -o $(OUT)/talking.mp4 --background photo \
		--say "Hello! One photo made me. Both my lips move, and every vowel opens my mouth."
	@echo "Look at $(OUT)/talking.mp4, turntable.mp4, arms-up.png, sitting.png and smile.png."

# Whatever needs no running.
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright

test: check
	$(BIN)/python -m pytest -q -n $(WORKERS)

clean:
	rm -rf build dist out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f $(STAMP)
