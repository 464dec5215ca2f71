//! The life of containers.

use crate::step::{Step, cluster, code, fails, same, unordered, words};

pub const STEPS: &[Step] = &[
    // A short one.
    same("docker create --name made -l a=b app:1 echo hi"),
    same("docker ps -a"),
    same(
        "docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.Name}} {{.Config.Cmd}}' made",
    ),
    same("docker start -a made"),
    same("docker logs made"),
    same("docker wait made"),
    same("docker ps -a"),
    same("docker rm made"),
    same("docker ps -a"),
    // What it prints, and how it ends.
    fails(
        "docker run --name said -e GREETING=hello -l role=voice app:1 sh -c 'echo $GREETING; echo $GREETING again; echo oops >&2; exit 3'",
    ),
    same("docker logs said"),
    same("docker logs --tail 2 said 2>&1 | wc -l"),
    same("docker logs --since 1h said"),
    same("docker logs --until 1h said"),
    same("docker logs -t said"),
    same("docker run --rm app:1 echo gone && docker ps -aq --filter status=created"),
    same("docker run --rm -t app:1 echo terminal"),
    same("echo fed | docker run --rm -i app:1 cat"),
    same("docker run --rm --entrypoint echo app:1 entered"),
    same("docker run --rm -w /proc -u 5:6 app:1 sh -c 'pwd; id'"),
    same(
        "docker run --rm --hostname me --add-host other:10.1.2.3 app:1 sh -c 'hostname; cat /etc/hosts | while read a b; do case $b in other) echo $a;; esac; done'",
    ),
    same(
        "docker run --rm --network none --read-only --tmpfs /run app:1 sh -c 'ls /sys/class/net; echo >/x || echo no; echo >/run/x && echo yes'",
    ),
    same(
        "printf 'ONE=1\\nTWO=2\\n' >env && docker run --rm --env-file env app:1 sh -c 'echo $ONE $TWO'",
    ),
    same("docker run --rm --device /dev/null:/dev/nothing app:1 ls /dev/nothing"),
    same(
        "docker run --rm $AT --init --ulimit nofile=99 --cap-add NET_ADMIN --dns 10.9.8.7 app:1 sh -c 'ulimit -n; cat /etc/resolv.conf'",
    ),
    same("docker run --cidfile cid --name filed app:1 echo && wc -c <cid && docker rm filed"),
    same(
        "docker run --rm --mount type=tmpfs,destination=/here --label-file env --pid host app:1 echo mounted",
    ),
    code("docker run app:1 /etc"),
    code("docker run app:1 nothere"),
    code("docker run --memory 1 app:1 echo"),
    code("docker run --nonsense app:1"),
    code("docker run --pull never nowhere:1"),
    same("docker ps -aq --filter status=created | wc -l"),
    same("docker rm $(docker ps -aq --filter status=created) | wc -l"),
    // A long one.
    same(
        "docker run -d $AT --name web -p 18080:80 --hostname web --memory 64m --restart on-failure:3 \
         -v data:/data -v /tmp:/host:ro -e A=1 -l tier=front app:1 sleep 600",
    ),
    same("docker ps"),
    same(
        "docker ps --format '{{.Names}} {{.Image}} {{.Command}} {{.Ports}} {{.Label \"tier\"}} {{.LocalVolumes}} {{.Networks}} {{.State}}'",
    ),
    unordered("docker port web"),
    unordered("docker port web 80/tcp"),
    same("docker inspect -f '{{json .HostConfig}}' web | tr ',[]' '\\n\\n\\n' | sort"),
    same(
        "docker inspect -f '{{json .Config.Env}} {{.Config.Hostname}} {{.Config.Image}} {{.Path}} {{.Args}}' web",
    ),
    same(
        "docker inspect -f '{{range .Mounts}}{{println .Type .Destination .Mode .RW}}{{end}}' web | sort",
    ),
    same(
        "docker inspect -f '{{range $name, $net := .NetworkSettings.Networks}}{{$name}}{{end}}' web",
    ),
    cluster("docker inspect -f '{{.Node.Name}}' web", 0, &["node2"]),
    same("docker inspect -s -f '{{.SizeRw}}' web"),
    same("docker top web -o pid,comm | tr -d 0-9"),
    same("docker stats --no-stream --format '{{.Name}} {{.PIDs}}' web"),
    fails("docker exec web sh -c 'echo $A; exit 9'"),
    same("echo through | docker exec -i web cat"),
    same("docker exec -u 5 -w /data -e B=2 web sh -c 'id -u; pwd; echo $B'"),
    same(
        "docker exec -d web sh -c 'echo made >/made'; \
         for _ in $(seq 30); do docker exec web cat /made 2>/dev/null && break; sleep 1; done",
    ),
    same("docker exec -t web echo terminal"),
    code("docker exec web nothere"),
    unordered("docker diff web"),
    same("docker cp in.txt web:/in.txt && docker exec web cat /in.txt"),
    same("docker cp web:/in.txt out.txt && cat out.txt"),
    same("docker cp web:/in.txt - | tar -tf -"),
    same("tar -cf - in.txt | docker cp - web:/data && docker exec web ls /data"),
    code("docker cp web:/nothere ."),
    same("docker export web | tar -tf - in.txt made"),
    same("docker commit -m note -a me -c 'CMD [\"cat\", \"/in.txt\"]' web kept:1"),
    same("docker inspect -f '{{.Comment}} {{.Author}} {{.Config.Cmd}}' kept:1"),
    same("docker history --format '{{.CreatedBy}} {{.Comment}}' kept:1 | head -n 1"),
    same("docker run --rm kept:1"),
    same("docker pause web && docker ps --format '{{.Names}} {{.Status}}' --filter status=paused"),
    code("docker exec web ls"),
    same("docker unpause web"),
    code("docker unpause web"),
    same("docker update --memory 96m --memory-swap 128m --restart no web"),
    same("docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}' web"),
    same("docker rename web shop && docker ps --format '{{.Names}}' && docker rename shop web"),
    same("docker restart -t 0 web"),
    code("docker rm web"),
    same("docker stop -t 0 web && docker ps -a --filter name=web --format '{{.Names}} {{.State}}'"),
    same("docker start web"),
    same("docker start web"),
    same("docker kill web && docker wait web"),
    code("docker kill web"),
    same("docker start web && docker kill -s KILL web && docker start web"),
    // Others beside it.
    same("docker run --rm --volumes-from web app:1 ls /data"),
    same(
        "docker run --rm --link web:other app:1 sh -c 'echo $OTHER_ENV_A; hostname'; docker ps -q --filter name=web | wc -l",
    ),
    same("docker run --rm --network container:web app:1 hostname"),
    code("docker run -d --name second -p 18080:80 $AT app:1 sleep 600"),
    same("docker rm -f second >/dev/null 2>&1; true"),
    words(
        "docker run --name web app:1 echo",
        &["The name web is already assigned"],
    ),
    code("docker rename said web"),
    same(
        "echo through | docker run -i --name piped app:1 cat && echo again | docker start -ai piped",
    ),
    fails(
        "docker run -d -i --name answers app:1 sh -c 'read word; echo got $word; sleep 1; exit 4' && (echo one; sleep 2) | docker attach answers",
    ),
    fails("docker attach answers"),
    same(
        "docker run -d --name counts app:1 sh -c 'echo 1; sleep 1; echo 2' && docker logs -f counts",
    ),
    same(
        "docker run -d --health-cmd 'sleep 0' --health-interval 1s --name well app:1 sleep 600 \
         && for _ in $(seq 30); do docker ps --filter health=healthy --format '{{.Names}} {{.Status}}' | grep . && break; sleep 1; done",
    ),
    // Lists.
    same("docker ps --format '{{.Names}}'"),
    same("docker ps -a --format 'table {{.Names}}\\t{{.Image}}\\t{{.Status}}'"),
    same("docker ps -a --no-trunc --format '{{.ID}} {{.Command}}'"),
    same("docker ps -l --format '{{.Names}}'"),
    same("docker ps -n 2 --format '{{.Names}}'"),
    same("docker ps -s --format '{{.Names}} {{.Size}}' --filter name=web"),
    same("docker ps -a --filter status=exited --format '{{.Names}}'"),
    same("docker ps -a --filter exited=3 --format '{{.Names}}'"),
    same("docker ps -a --filter label=role=voice --format '{{.Names}}'"),
    same("docker ps -a --filter label=tier --filter status=running --format '{{.Names}}'"),
    same("docker ps -a --filter ancestor=app:1 --format '{{.Names}}'"),
    same("docker ps -a --filter ancestor=built:1 --format '{{.Names}}'"),
    same("docker ps -a --filter before=piped --format '{{.Names}}'"),
    same("docker ps -a --filter since=piped --format '{{.Names}}'"),
    same("docker ps -a --filter volume=data --format '{{.Names}}'"),
    same("docker ps -a --filter volume=/data --format '{{.Names}}'"),
    same("docker ps -a --filter publish=18080 --format '{{.Names}}'"),
    same("docker ps -a --filter publish=80 --format '{{.Names}}'"),
    same("docker ps -a --filter expose=80 --format '{{.Names}}'"),
    same("docker ps -a --filter network=bridge --format '{{.Names}}'"),
    same("docker ps -a --filter name=we --format '{{.Names}}'"),
    same("docker ps -a --filter name='^web$' --format '{{.Names}}'"),
    same("docker ps -a --filter id=$(docker ps -q --filter name=web) --format '{{.Names}}'"),
    same("docker ps -a --filter health=none --format '{{.Names}}'"),
    fails("docker ps --filter nonsense=1"),
    fails("docker ps --filter status=nonsense"),
    cluster(
        "docker ps -a --filter node=node2 --format '{{.Names}}'",
        0,
        &["node2/web"],
    ),
    // The end.
    same("docker rm -f piped answers counts well"),
    same("docker container prune -f --filter label=role | head -n 1"),
    same("docker ps -a --format '{{.Names}}'"),
];
