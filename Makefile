VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.incarnate
OUT := out/demo
PAGE := incarnate/assets/page/page.html
# Two at once: more would share the same cores and memory.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); [ $$n -lt 2 ] && echo 0 || echo 2)

.PHONY: setup demo test test-web page check fuzz sanitize priors clean

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
	[ ! -f $(PAGE) ] || $(BIN)/incarnate export $(OUT)/woman.avatar $(OUT)/talking.html \
		--say "Hello! Drag to walk round me, and try a pose."
	@echo "Look at $(OUT)/talking.mp4, talking.html, turntable.mp4, arms-up.png, sitting.png and smile.png."

# Whatever needs no running.
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright

test: check
	$(BIN)/python -m pytest -q -n $(WORKERS)

# What .html exports are filled into; needs npm, whereas what comes out needs nothing.
page: $(PAGE)
$(PAGE): web/package-lock.json web/build.mjs web/tsconfig.json $(wildcard web/src/*)
	cd web && npm ci --silent --no-audit --no-fund && npm run --silent check && npm run --silent build

# Pages and models in a browser: npm, and Debian's chromium (installed if it is missing, as root).
test-web: $(STAMP) $(PAGE)
	command -v chromium >/dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'playwright==1.65.*' 'trimesh==5.2.*'
	$(BIN)/python -m pytest -q -p no:cacheprovider web/tests

# The core against its definition on more scenes than `test` has; says how many pixels hang on rounding.
fuzz: $(STAMP)
	INCARNATE_FUZZ=10000 $(BIN)/python -m pytest -q -rP -n $(WORKERS) tests/render/test_fuzz.py

# The tests of rendering on a core that checks its memory and its arithmetic (needs gcc).
SANITIZED := build/sanitize
sanitize: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B $(SANITIZED) -G Ninja -DSANITIZE=ON \
		-DCMAKE_BUILD_TYPE=RelWithDebInfo -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build $(SANITIZED)
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 INCARNATE_FUZZ=200 \
		$(BIN)/python scripts/sanitized.py $(SANITIZED) tests/render tests/test_losses.py \
		tests/body/test_native.py tests/avatars/test_playback.py

# The embedded priors from nothing: hours on a CPU. Stopped, it goes on where it was.
PRIORS := out/priors
priors: $(STAMP)
	$(BIN)/incarnate studio $(PRIORS)/shards --lessons 2400 --size 128 --seed 8 --workers $(or $(filter-out 0,$(WORKERS)),1)
	OMP_NUM_THREADS=1 $(BIN)/torchrun --nproc-per-node 2 scripts/train_priors.py $(PRIORS)/shards $(PRIORS)/run
	$(BIN)/python scripts/train_priors.py $(PRIORS)/shards $(PRIORS)/run --export incarnate/assets/priors/embedded
	$(BIN)/python scripts/seal.py
	$(BIN)/incarnate evaluate priors -o $(PRIORS)/report --data $(PRIORS)/shards

clean:
	rm -rf build dist out web/node_modules $(dir $(PAGE)) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f $(STAMP)
