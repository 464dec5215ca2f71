//! Images: there is no registry, so they come from files, containers and builds.

use crate::step::{Step, code, same, unordered, words};

pub const STEPS: &[Step] = &[
    unordered("docker rmi tiny:1"),
    same("docker images"),
    unordered("docker load -i app.tar"),
    unordered("docker load -q <app.tar"),
    same("docker images"),
    same("docker images -q --no-trunc"),
    same("docker image ls --format '{{.Repository}}:{{.Tag}} {{.ID}}' app"),
    same("docker images --filter dangling=true -q"),
    same("docker images --filter reference='a*:1' --format '{{.Repository}}'"),
    same("docker images --filter label=none -q"),
    same("docker history --format '{{.ID}} {{.CreatedBy}} {{.Comment}}' app:1"),
    same("docker inspect -f '{{.Id}} {{.RepoTags}} {{json .Config.Cmd}} {{.Config.Env}}' app:1"),
    same("docker inspect -f '{{.Os}}/{{.Architecture}}' $(docker images -q app)"),
    same("docker tag app:1 app:2 && docker images app --format '{{.Tag}}'"),
    unordered("docker rmi app:2"),
    same("docker images app --format '{{.Tag}}'"),
    same("docker tag app:1 127.0.0.1:9/app:1"),
    code("docker push 127.0.0.1:9/app:1"),
    unordered("docker rmi 127.0.0.1:9/app:1"),
    code("docker pull 127.0.0.1:9/app:1"),
    code("docker login -u somebody -p secret 127.0.0.1:9"),
    same("docker save app:1 -o saved.tar && tar -xOf saved.tar manifest.json | grep -o 'app:1'"),
    unordered("docker import -c 'CMD [\"echo\", \"hello\"]' -m note saved.tar loose:1"),
    same("docker inspect -f '{{json .Config.Cmd}} {{.Comment}}' loose:1"),
    unordered("docker rmi loose:1"),
    // Builds.
    same(
        "mkdir -p context && cp in.txt context && printf '%s\\n' 'FROM app:1' 'ARG WORD=none' \
         'LABEL from=build' 'COPY in.txt /copied' 'RUN echo $WORD >/word' \
         'CMD [\"cat\", \"/copied\", \"/word\"]' >context/Dockerfile",
    ),
    same("docker build -t built:1 $BUILD_AT --build-arg WORD=given context 2>/dev/null"),
    same("docker run --rm built:1"),
    code("docker build -q $BUILD_AT --label more=1 -t built:2 - <context/Dockerfile"),
    same(
        "sed -i /COPY/d context/Dockerfile && docker build -q $BUILD_AT --label more=1 -t built:2 - <context/Dockerfile 2>/dev/null",
    ),
    same("docker inspect -f '{{json .Config.Labels}}' built:2"),
    same("docker images --filter label=from=build --format '{{.Repository}}:{{.Tag}}' | sort"),
    same(
        "printf 'FROM app:1\\nRUN exit 5\\n' | docker build $BUILD_AT --force-rm - 2>&1 | grep -v DEPRECATED",
    ),
    same("printf 'FROM app:1\\nNONSENSE\\n' | docker build $BUILD_AT - 2>&1 | grep -v DEPRECATED"),
    words(
        "docker build -q -t placed:1 --build-arg constraint:node==node3 --build-arg WORD=x context 2>/dev/null \
         && docker run --rm placed:1 cat /word",
        &["x\n"],
    ),
    same("docker rmi -f built:2 placed:1 >/dev/null && docker images -q placed"),
    code("docker image prune -f"),
    code("docker builder prune -f"),
];
