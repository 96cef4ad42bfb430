# The image contains the binaries, CA certificates to verify Redis, and a folder for the
# file with the groups. It has no shell. It runs without root, and writes only to /data.
ARG BUILDER=golang:1.26
ARG BASE=gcr.io/distroless/static-debian13:nonroot

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=unknown REVISION=unknown
RUN make build GOOS=$TARGETOS GOARCH=$TARGETARCH VERSION=$VERSION REVISION=$REVISION && mkdir -p /out/data && mv muster muster-mcp /out/

FROM ${BASE}
ARG VERSION=unknown REVISION=unknown SOURCE=
LABEL org.opencontainers.image.title="muster" \
      org.opencontainers.image.description="A memory for Prometheus Alertmanager" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/muster /out/muster-mcp /bin/
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /
VOLUME /data
EXPOSE 9095
HEALTHCHECK --interval=15s --timeout=5s CMD ["/bin/muster", "healthcheck"]
ENTRYPOINT ["/bin/muster"]
CMD ["--storage.path=/data/muster.db"]
