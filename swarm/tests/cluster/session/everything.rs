//! What is of the whole: events, what is used, versions; and tidying up.

use crate::step::{Step, cluster, code, same, unordered, words};

pub const STEPS: &[Step] = &[
    same("docker version --format '{{.Server.Os}}/{{.Server.Arch}}'"),
    words("docker version", &["Version:          swarm/"]),
    words("docker info", &["Nodes: 3", "Strategy: spread"]),
    same("docker info --format '{{.OSType}} {{.Containers}} {{.ContainersRunning}}'"),
    // Events.
    same(
        "since=$(date +%s) && docker run --name passing -l e=1 app:1 echo passed && docker rm passing && sleep 1 \
         && docker events --since $since --until $(date +%s) --filter container=passing \
         --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'",
    ),
    same(
        "since=$(date +%s) && docker volume create ${NODE}seen && docker volume rm seen && sleep 1 \
         && docker events --since $since --until $(date +%s) --filter type=volume --format '{{.Type}} {{.Action}}'",
    ),
    same(
        "since=$(date +%s) && docker tag app:1 app:seen && sleep 1 \
         && docker events --since $since --until $(date +%s) --filter event=tag --format '{{.Type}} {{.Action}}' | sort -u; \
         docker rmi app:seen >/dev/null",
    ),
    unordered(
        "(timeout 30 docker events --filter label=e=2 --filter event=start --format '{{.Action}}' | head -n 1) & \
         while kill -0 $! 2>/dev/null; do docker run --rm -l e=2 app:1 echo started; sleep 1; done",
    ),
    cluster(
        "since=$(date +%s) && docker run --rm app:1 echo && sleep 1 \
         && docker events --since $since --until $(date +%s) --filter event=start",
        0,
        &["container start", "node.name=node", "node.addr="],
    ),
    code("docker events --since nonsense --until 1"),
    // What is used.
    same("docker system df --format '{{.Type}}'"),
    words("docker system df -v", &["app", "data", "web"]),
    same("docker plugin ls"),
    // Tidying up.
    same("docker create --name idle app:1 && docker container prune -f --filter until=1h"),
    unordered("docker container prune -f"),
    same(
        "docker create --name idle -l tidy=1 app:1 && docker network create -d bridge --label tidy=1 ${NODE}idle",
    ),
    unordered("docker system prune -f --filter label=tidy=1"),
    same("docker ps -aq --filter name=idle; docker network ls -q --filter name=idle"),
    code("docker image prune -af"),
    same("docker images --format '{{.Repository}}:{{.Tag}}'"),
    same("docker rm -fv web"),
    same("docker volume rm data"),
    code("docker system prune -af --volumes"),
    same("docker ps -aq; docker images -q; docker volume ls -q"),
    unordered("docker network ls"),
    unordered("docker load -q -i app.tar"),
];
