//! What is not there, not unambiguous, or not for a cluster.

use crate::step::{Step, cluster, code, fails, same, words};

pub const STEPS: &[Step] = &[
    fails("docker start nobody"),
    fails("docker stop nobody"),
    fails("docker restart nobody"),
    words("docker kill nobody", &["No such container: nobody"]),
    fails("docker pause nobody"),
    fails("docker unpause nobody"),
    fails("docker rm nobody"),
    same("docker rm -f nobody"),
    fails("docker rename nobody somebody"),
    fails("docker wait nobody"),
    fails("docker logs nobody"),
    fails("docker attach nobody"),
    fails("docker exec nobody ls"),
    fails("docker top nobody"),
    fails("docker port nobody"),
    fails("docker diff nobody"),
    fails("docker stats --no-stream nobody"),
    fails("docker update --memory 64m nobody"),
    fails("docker commit nobody x:1"),
    fails("docker export nobody"),
    fails("docker cp nobody:/x ."),
    // The answer may come before the client has sent its file, which then tells of that.
    code("docker cp in.txt nobody:/x"),
    fails("docker inspect nobody"),
    fails("docker container inspect nobody"),
    fails("docker image inspect nowhere:1"),
    fails("docker history nowhere:1"),
    fails("docker tag nowhere:1 x:1"),
    fails("docker rmi nowhere:1"),
    words(
        "docker save nowhere:1 -o nowhere.tar",
        &["Unable to find a healthy engine containing all images: [nowhere:1]"],
    ),
    words(
        "docker network inspect nowhere",
        &["No such network: nowhere"],
    ),
    words("docker network rm nowhere", &["No such network: nowhere"]),
    fails("docker network connect nowhere nobody"),
    words(
        "docker volume inspect nowhere",
        &["No such volume: nowhere"],
    ),
    words("docker volume rm nowhere", &["No such volume: nowhere"]),
    words(
        "docker run --rm --link nobody:x app:1 echo",
        &["[--link=nobody:x]"],
    ),
    words(
        "docker run --rm --volumes-from nobody app:1 echo",
        &["[--volumes-from=nobody]"],
    ),
    words(
        "docker run --rm --network container:nobody app:1 echo",
        &["[--net=container:nobody]"],
    ),
    // More containers than there are first letters of ids.
    words(
        "for n in 0 1 2 3 4 5 6 7 8 9 a b c d e f g; do docker create --name n$n app:1 >/dev/null; done; \
         twice=$(docker ps -aq | cut -c1 | sort | uniq -d | head -n 1); docker rm $twice",
        &["the name is ambiguous"],
    ),
    same("docker rm $(docker ps -aq) | wc -l"),
    // Conditions.
    cluster(
        "docker run -e constraint:zone==nowhere app:1 echo",
        125,
        &[
            "Unable to find a node that satisfies the following conditions",
            "zone==nowhere",
        ],
    ),
    cluster(
        "docker run --rm -e constraint:zone==~nowhere app:1 echo soft",
        0,
        &["soft"],
    ),
    cluster(
        "docker run --rm -e constraint:zone==/[bx]/ app:1 hostname",
        0,
        &[],
    ),
    cluster(
        "docker run -e affinity:container==nobody app:1 echo",
        125,
        &["container==nobody"],
    ),
    cluster(
        "docker run -e affinity:image==nowhere:1 app:1 echo",
        125,
        &["image==nowhere:1"],
    ),
    cluster(
        "docker run -e constraint:zone app:1 echo",
        125,
        &["One of operator ==, != is expected"],
    ),
    cluster(
        "docker run --memory 999g app:1 echo",
        125,
        &["no resources available to schedule container"],
    ),
    // An engine in swarm mode.
    cluster("docker swarm init", 1, &["swarm"]),
    words("docker service ls", &["This node is not a swarm manager"]),
    words("docker node ls", &["This node is not a swarm manager"]),
    words("docker stack ls", &["This node is not a swarm manager"]),
    words("docker secret ls", &["This node is not a swarm manager"]),
    words("docker config ls", &["This node is not a swarm manager"]),
    words("docker swarm leave", &["swarm"]),
    code("docker plugin inspect nowhere"),
];
