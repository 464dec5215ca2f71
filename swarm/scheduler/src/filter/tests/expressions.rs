use super::*;

#[test]
fn affinity_looks_at_containers_and_images() {
    // (expression, the busy node matches, an empty node matches)
    let table = [
        ("container==web", true, false),
        ("container==/web", false, false),
        ("container==aaaa0000", true, false),
        ("container==aaaa", false, false),
        ("container==w*", true, false),
        ("container==/^w/", true, false),
        ("container!=web", false, true),
        ("container!=cache", true, true),
        ("container==lb/backend", false, false),
        ("container==backend", false, false),
        ("container==*", true, false),
        ("container!=*", false, true),
        ("image==nginx", true, false),
        ("image==nginx:1.25", true, false),
        ("image==nginx:1.2", false, false),
        ("image==nginx:*", true, false),
        ("image==sha256:1111", true, false),
        ("image==sha256:3333", true, false),
        ("image==1111", false, false),
        ("image==reg.example.com:5000/nginx", true, false),
        ("image==reg.example.com:5000/nginx:latest", true, false),
        ("image!=nginx", false, true),
        ("image!=redis", true, true),
        ("tier==front", true, false),
        ("tier==back", true, false),
        ("tier==f*", true, false),
        ("tier==side", false, false),
        ("tier!=front", false, true),
        ("tier!=side", true, true),
        // A container without the label has it empty.
        ("extra==*", true, false),
        ("extra==/^$/", true, false),
        ("tier==/^$/", false, false),
        ("tier!=/^$/", true, true),
        ("other==/^$/", true, false),
        ("Tier==front", false, false),
    ];
    for (text, busy, empty) in table {
        let request = Request {
            affinities: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Affinity, &busy_node(), &request),
            busy,
            "{text}"
        );
        assert_eq!(
            accepts(Filter::Affinity, &node("node-2"), &request),
            empty,
            "{text}"
        );
    }
    let digest = Expression::literal("image", "nginx@sha256:2222");
    assert!(Filter::Affinity.matches(&busy_node(), &digest));
    assert!(!Filter::Affinity.matches(&node("node-2"), &digest));
}

#[test]
fn constraint_looks_at_the_node() {
    let table = [
        ("node==node-1", true),
        ("node==node-2", false),
        ("node==node-*", true),
        ("node==/node-[12]/", true),
        ("node==ID-node-1", true),
        ("node==ID-node-1|10.0.0.1:2376", true),
        ("node==ID-node-1|10.0.0.2:2376", false),
        ("node!=ID-node-1|10.0.0.2:2376", true),
        ("node==node-1|node-2", true),
        ("node==ID-node-2", false),
        ("node!=node-1", false),
        ("node!=ID-node-1", false),
        ("node!=node-2", true),
        ("node!=node-*", false),
        ("region==eu", true),
        ("region==e*", true),
        ("region==us", false),
        ("region!=us", true),
        ("region!=eu", false),
        ("storagedriver==overlay2", true),
        ("os==Debian 12.1", true),
        ("os==Debian*", true),
        ("os==/12/", true),
        ("missing==x", false),
        ("missing!=x", true),
        ("missing==*", true),
        ("missing!=*", false),
        ("Region==eu", false),
        ("region==(?i)EU", true),
    ];
    for (text, expected) in table {
        let request = Request {
            constraints: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Constraint, &node("node-1"), &request),
            expected,
            "{text}"
        );
    }
}

#[test]
fn whitelist_looks_at_whole_names() {
    let table = [
        ("node==node-1", true),
        ("anything==node-1", true),
        ("node!=node-1", true),
        ("node==node-2|node-1", true),
        ("node==node-2|node-3", false),
        ("node==node-*", false),
        ("node==ID-node-1", false),
    ];
    for (text, expected) in table {
        let request = Request {
            whitelists: vec![text.parse().expect(text)],
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Whitelist, &node("node-1"), &request),
            expected,
            "{text}"
        );
    }
}

#[test]
fn every_hard_expression_must_hold_and_no_soft_one() {
    let table: [(&[&str], bool); 5] = [
        (&["region==eu", "node==node-1"], true),
        (&["region==eu", "node==node-2"], false),
        (&["region==~us"], true),
        (&["region==~us", "node==node-1"], true),
        (&["region==us", "node==~node-1"], false),
    ];
    for (texts, expected) in table {
        let request = Request {
            constraints: texts
                .iter()
                .map(|text| text.parse().expect("valid"))
                .collect(),
            ..Request::default()
        };
        assert_eq!(
            accepts(Filter::Constraint, &node("node-1"), &request),
            expected,
            "{texts:?}"
        );
    }
}
