# Two images from one file: `--target cpu` (the default) and `--target cuda`.
#
#   docker build --build-arg TORCH_INDEX_URL=<PyTorch's CPU wheel index> --target cpu .
#
# Without that address the cpu image works too, but contains those CUDA libraries without which
# PyPI's torch does not start: 2 GB that it never uses. docs/how-to/compose.md has the sizes.

ARG BASE_IMAGE=python:3.14-slim-trixie

# ---- base of every stage ------------------------------------------------------------------
FROM ${BASE_IMAGE} AS base
ENV PATH=/opt/kinolex/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# ---- dependencies: installed again only when their list changes ---------------------------
FROM base AS requirements
WORKDIR /build
COPY docker/dependencies.py pyproject.toml ./
RUN python3 dependencies.py encoders mcp openvino postgres > requirements.txt

FROM base AS environment
WORKDIR /build
# Not empty: torch and torchvision are those of the base image, as `--debootstrap` makes it.
ARG TORCH_OF_BASE=
RUN python3 -m venv ${TORCH_OF_BASE:+--system-site-packages} /opt/kinolex
COPY constraints.txt ./
RUN if [ -n "$TORCH_OF_BASE" ]; then sed -i '/^torch/d' constraints.txt; fi
COPY --from=requirements /build/requirements.txt ./

FROM environment AS dependencies-cpu
ARG TORCH_INDEX_URL=
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --no-deps --index-url "$TORCH_INDEX_URL" --constraint constraints.txt \
            torch torchvision; \
    fi \
    && pip install --constraint constraints.txt --requirement requirements.txt
COPY docker/slim.py ./
RUN python3 slim.py --without-gpu /opt/kinolex

FROM environment AS dependencies-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt --requirement requirements.txt
COPY docker/slim.py ./
RUN python3 slim.py /opt/kinolex

# ---- the code, as a wheel -----------------------------------------------------------------
FROM environment AS wheel
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt setuptools
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY app app
COPY model model
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# ---- base of both images: user, settings, health check ------------------------------------
FROM base AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin kinolex \
    && install --directory --owner=kinolex --group=kinolex /data
COPY docker/entrypoint docker/healthcheck.py /usr/local/bin/
# The image contains the default models: nothing is downloaded from a hub at run time, unless
# HF_HUB_OFFLINE=0 is set for a checkpoint named by its Hub id, which is then kept on the volume. Large
# uploads are unnamed files on the volume, because /tmp may be in memory.
ENV HF_HOME=/data/hub \
    HF_HUB_OFFLINE=1 \
    KINOLEX_DATA_DIR=/data \
    KINOLEX_HOST=0.0.0.0 \
    KINOLEX_PORT=8000 \
    KINOLEX_UPLOAD_DIR=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "/usr/local/bin/healthcheck.py"]
ENTRYPOINT ["entrypoint"]
CMD ["serve"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
COPY --from=dependencies-cuda /opt/kinolex /opt/kinolex
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-deps /wheels/*.whl
USER 10001:10001

FROM runtime AS cpu
COPY --from=dependencies-cpu /opt/kinolex /opt/kinolex
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-deps /wheels/*.whl
USER 10001:10001
